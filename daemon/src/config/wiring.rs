//! What drivers and upstreams are started with: addresses and secrets, resolved.

use super::{
    Problems,
    findings::Findings,
    plan::{Address, Broker, Certificate, FeedWay, Read, SharingPlan, SitePlan, TlsFiles, Way},
    values::{Credential, FilePath},
};
use crate::{audit::export, upstreams};
use quaywatch_drivers::{
    ais, frame, modbus,
    mqtt::{self, link::Endpoint},
    node_link,
    secret::Secret,
    serial_text,
    tls::Tls,
    webhook,
};
use quaywatch_schemas::{FeedId, LineId, RecipientId};
use std::{
    collections::BTreeMap,
    io::Read as _,
    net::SocketAddr,
    path::{Path, PathBuf},
};
use toml::Spanned;

/// Everything the gateway connects to or listens on. Parts compare equal if they need not be restarted at a reload.
#[derive(Debug, Clone, Default)]
pub struct Wiring {
    /// Brokers.
    pub mqtt: BTreeMap<LineId, mqtt::Config>,
    /// Modbus connections, each with the lines that share it.
    pub modbus: Vec<(modbus::Connection, Vec<(LineId, modbus::Device)>)>,
    /// Webhook listeners.
    pub webhooks: BTreeMap<LineId, webhook::Config>,
    /// Instruments that stream text.
    pub serial_text: BTreeMap<LineId, serial_text::Config>,
    /// AIS receivers.
    pub ais: BTreeMap<LineId, ais::Config>,
    /// Radars, lidars and camera trackers that stream frames.
    pub frames: BTreeMap<LineId, frame::Config>,
    /// Node buses. [`Wiring::enrol`] puts the nodes on them.
    pub node_links: BTreeMap<LineId, node_link::Config>,
    /// All nodes that a sensor is on.
    pub nodes: BTreeMap<u16, NodePlace>,
    /// Folders that references are dropped into.
    pub folders: BTreeMap<FeedId, PathBuf>,
    /// Ways to the recipients.
    pub upstreams: BTreeMap<RecipientId, upstreams::Target>,
    /// Who outside gets the audit journal.
    pub audit: Option<export::Target>,
    /// Where recipients may post answers, receipts and requests.
    pub answers: Option<Answers>,
    /// Where `/metrics` and `/health` are served; loopback unless the site file says otherwise.
    pub operations: Option<SocketAddr>,
}

/// Where a node hangs and what is on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePlace {
    /// Its bus.
    pub line: LineId,
    /// What its channels are.
    pub channels: Vec<node_link::Channel>,
    /// Its key, if the site hands it out.
    pub key: Option<Secret>,
}

/// Where recipients may post answers, receipts and requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// Address and port.
    pub listen: SocketAddr,
    /// Certificate chain (PEM) and its key (PEM); plain HTTP if `None`.
    pub tls: Option<(Vec<u8>, Secret)>,
}

/// A key or token is short; a certificate chain with its key is a few KiB. systemd's own limit is 1 MiB.
const MOST_BYTES: u64 = 1 << 20;

pub(super) fn wire(site: &SitePlan, sharing: &SharingPlan, folder: &Path) -> Result<Wiring, Problems> {
    let mut of_site = Secrets { folder, findings: Findings::default() };
    let mut wiring = Wiring { operations: site.operations, ..Wiring::default() };
    lines(site, &mut of_site, &mut wiring);
    feeds(site, &mut of_site, &mut wiring);
    let mut of_sharing = Secrets { folder, findings: Findings::default() };
    recipients(sharing, &mut of_sharing, &mut wiring);
    if of_site.findings.is_empty() && of_sharing.findings.is_empty() {
        return Ok(wiring);
    }
    let mut problems = of_site.findings.into_problems(&site.source);
    problems.0.extend(of_sharing.findings.into_problems(&sharing.source).0);
    Err(problems)
}

impl Wiring {
    /// Puts every node on its bus as `put` makes it of its number and place; one that it makes nothing of is not polled.
    pub fn enrol(&mut self, mut put: impl FnMut(u16, &NodePlace) -> Option<node_link::Node>) {
        for config in self.node_links.values_mut() {
            config.nodes.clear();
        }
        for (number, place) in &self.nodes {
            if let (Some(config), Some(node)) = (self.node_links.get_mut(&place.line), put(*number, place)) {
                config.nodes.push(node);
            }
        }
    }
}

fn lines(plan: &SitePlan, secrets: &mut Secrets<'_>, wiring: &mut Wiring) {
    // A line that nothing is read over is not opened.
    for (id, line) in plan.lines.iter().filter(|(_, line)| !line.reads.is_empty()) {
        let reads = line.reads.iter();
        match &line.way {
            Way::Mqtt(broker) => {
                let subscriptions = reads.filter_map(|(_, read)| match read {
                    Read::Mqtt(subscription) => Some(subscription.clone()),
                    _ => None,
                });
                let subscriptions = subscriptions.collect();
                if let Some(broker) = secrets.endpoint(broker) {
                    wiring.mqtt.insert(id.clone(), mqtt::Config { broker, subscriptions });
                }
            }
            Way::Modbus { connection, device, .. } => {
                let points = reads.filter_map(|(_, read)| match read {
                    Read::Modbus(point) => Some(point.clone()),
                    _ => None,
                });
                let device = modbus::Device { points: points.collect(), ..device.clone() };
                match wiring.modbus.iter_mut().find(|(other, _)| other == connection) {
                    Some((_, devices)) => devices.push((id.clone(), device)),
                    None => wiring.modbus.push((connection.clone(), vec![(id.clone(), device)])),
                }
            }
            Way::Http { listen, tls } => {
                let mut hooks = Vec::new();
                for (_, read) in reads {
                    let Read::Hook { token, gives } = read else { continue };
                    if let Some(token) = secrets.secret(token) {
                        hooks.push(webhook::Hook { token, gives: gives.clone() });
                    }
                }
                let tls = tls.as_ref().and_then(|certificate| secrets.certificate(certificate));
                wiring.webhooks.insert(id.clone(), webhook::Config { listen: *listen, tls, hooks });
            }
            Way::SerialText(port) => {
                let sensors = reads.filter_map(|(_, read)| match read {
                    Read::SerialText(reader) => Some(reader.clone()),
                    _ => None,
                });
                let config = serial_text::Config { port: port.clone(), sensors: sensors.collect() };
                wiring.serial_text.insert(id.clone(), config);
            }
            Way::Ais(carrier) => {
                for (sensor, _) in reads {
                    let config = ais::Config { carrier: carrier.clone(), sensor: sensor.clone() };
                    wiring.ais.insert(id.clone(), config);
                }
            }
            Way::Frames(carrier) => {
                for (_, read) in reads {
                    let Read::Frames(source) = read else { continue };
                    let config = frame::Config { carrier: carrier.clone(), source: source.clone() };
                    wiring.frames.insert(id.clone(), config);
                }
            }
            Way::Nodes { carrier, every, timeout } => {
                let mut channels: BTreeMap<_, Vec<node_link::Channel>> = BTreeMap::new();
                for (_, read) in reads {
                    if let Read::Node { node, channel } = read {
                        channels.entry(*node).or_default().push(channel.clone());
                    }
                }
                for (number, channels) in channels {
                    let key = plan.nodes.get(&number).and_then(|key| secrets.node_key(key.as_ref()?));
                    wiring.nodes.insert(number.0, NodePlace { line: id.clone(), channels, key });
                }
                let (carrier, nodes) = (carrier.clone(), Vec::new());
                let config = node_link::Config { carrier, every: *every, timeout: *timeout, nodes };
                wiring.node_links.insert(id.clone(), config);
            }
        }
    }
}

fn feeds(plan: &SitePlan, secrets: &mut Secrets<'_>, wiring: &mut Wiring) {
    for (id, feed) in &plan.feeds {
        match &feed.way {
            FeedWay::Folder(folder) => {
                wiring.folders.insert(id.clone(), folder.clone());
            }
            FeedWay::Hook { line, token } => {
                let Some(token) = secrets.secret(token) else { continue };
                let hook = webhook::Hook { token, gives: webhook::Gives::References(id.clone()) };
                if let Some(config) = wiring.webhooks.get_mut(line) {
                    config.hooks.push(hook);
                } else if let Some(Way::Http { listen, tls }) = plan.lines.get(line).map(|line| &line.way) {
                    let tls = tls.as_ref().and_then(|certificate| secrets.certificate(certificate));
                    let config = webhook::Config { listen: *listen, tls, hooks: vec![hook] };
                    wiring.webhooks.insert(line.clone(), config);
                }
            }
            FeedWay::Topic { line, topic } => {
                let subscription = mqtt::Subscription {
                    topic: topic.clone(),
                    // A day's list may take a while to store; no alarm waits behind it.
                    session: mqtt::Session::Routine,
                    at_least_once: true,
                    gives: mqtt::Gives::References(id.clone()),
                };
                if let Some(config) = wiring.mqtt.get_mut(line) {
                    config.subscriptions.push(subscription);
                } else if let Some(Way::Mqtt(broker)) = plan.lines.get(line).map(|line| &line.way)
                    && let Some(broker) = secrets.endpoint(broker)
                {
                    wiring.mqtt.insert(line.clone(), mqtt::Config { broker, subscriptions: vec![subscription] });
                }
            }
        }
    }
}

fn recipients(plan: &SharingPlan, secrets: &mut Secrets<'_>, wiring: &mut Wiring) {
    for (id, upstream) in &plan.upstreams {
        let address = secrets.address(&upstream.address);
        let answer_token = upstream.answer_token.as_ref().and_then(|token| secrets.secret(token));
        if let Some(address) = address {
            let target = upstreams::Target { address, confirm: upstream.confirm, answer_token };
            wiring.upstreams.insert(id.clone(), target);
        }
    }
    if let Some(audit) = &plan.audit
        && let Some(address) = secrets.address(&audit.address)
    {
        wiring.audit = Some(export::Target { address, source: audit.source.clone() });
    }
    if let Some((listen, tls)) = &plan.answers {
        let tls = tls.as_ref().and_then(|certificate| secrets.certificate(certificate));
        wiring.answers = Some(Answers { listen: *listen, tls });
    }
}

/// Reads secrets and certificates; what cannot be read is a finding.
struct Secrets<'a> {
    folder: &'a Path,
    findings: Findings,
}

impl Secrets<'_> {
    fn address(&mut self, address: &Address) -> Option<upstreams::Address> {
        match address {
            Address::Mqtt { broker, topic } => {
                let endpoint = self.endpoint(broker)?;
                Some(upstreams::Address::Mqtt { endpoint, topic: topic.clone() })
            }
            Address::Http { url, bearer, tls } => {
                let bearer = bearer.as_ref().map(|bearer| self.secret(bearer));
                let tls = self.tls(tls);
                match bearer {
                    Some(None) => None,
                    bearer => Some(upstreams::Address::Http { url: url.clone(), bearer: bearer.flatten(), tls }),
                }
            }
        }
    }

    fn endpoint(&mut self, broker: &Broker) -> Option<Endpoint> {
        let login = broker.login.as_ref().map(|(user, password)| Some((user.clone(), self.secret(password)?)));
        let tls = broker.tls.as_ref().map(|files| self.tls(files));
        if matches!(login, Some(None)) {
            return None;
        }
        Some(Endpoint {
            host: broker.host.clone(),
            port: broker.port,
            tls,
            login: login.flatten(),
            client_id: broker.client_id.clone(),
        })
    }

    fn tls(&mut self, files: &TlsFiles) -> Tls {
        Tls {
            authority: files.authority.as_ref().and_then(|file| self.pem(file)),
            client: files.client.as_ref().and_then(|certificate| self.certificate(certificate)),
        }
    }

    fn certificate(&mut self, certificate: &Certificate) -> Option<(Vec<u8>, Secret)> {
        let chain = self.pem(&certificate.file);
        let key = self.secret(&certificate.key);
        let key = key.filter(|key| {
            let good = rustls_pemfile::private_key(&mut key.expose().as_bytes()).is_ok_and(|key| key.is_some());
            if !good {
                let what = format!("credential `{}` is no private key", certificate.key.get_ref().0);
                self.findings.add(
                    certificate.key.span(),
                    what,
                    "its file holds the certificate's key in PEM: -----BEGIN PRIVATE KEY-----",
                );
            }
            good
        });
        chain.zip(key)
    }

    fn pem(&mut self, file: &Spanned<FilePath>) -> Option<Vec<u8>> {
        let path = &file.get_ref().0;
        let bytes = match bounded(path) {
            Ok(bytes) => bytes,
            Err(why) => {
                let what = format!("{} cannot be read: {why}", path.display());
                self.findings.add(file.span(), what, "put the certificate there, readable for the user quaywatch");
                return None;
            }
        };
        let holds_certificates = rustls_pemfile::certs(&mut bytes.as_slice()).collect::<Result<Vec<_>, _>>();
        if holds_certificates.is_ok_and(|certificates| !certificates.is_empty()) {
            return Some(bytes);
        }
        let what = format!("{} holds no certificate", path.display());
        self.findings.add(file.span(), what, "it is PEM: -----BEGIN CERTIFICATE-----");
        None
    }

    fn node_key(&mut self, credential: &Spanned<Credential>) -> Option<Secret> {
        let key = self.secret(credential)?;
        if key.as_key().is_some() {
            return Some(key);
        }
        let what = format!("credential `{}` is no node key", credential.get_ref().0);
        self.findings.add(credential.span(), what, "its file holds 64 hexadecimal digits: openssl rand -hex 32");
        None
    }

    fn secret(&mut self, credential: &Spanned<Credential>) -> Option<Secret> {
        let name = &credential.get_ref().0;
        let read = files_of(self.folder, name).into_iter().find(|path| path.exists()).map(|path| bounded(&path));
        let (what, help) = match read {
            Some(Ok(bytes)) => match String::from_utf8(bytes).map(Secret::new) {
                Ok(secret) if secret.expose().is_empty() => {
                    (format!("credential `{name}` is empty"), "put the secret into the file".to_owned())
                }
                Ok(secret) => return Some(secret),
                Err(_) => {
                    (format!("credential `{name}` is not text"), "put the secret into the file as text".to_owned())
                }
            },
            Some(Err(why)) => (
                format!("credential `{name}` cannot be read: {why}"),
                "make its file readable for the user quaywatch".to_owned(),
            ),
            None => (
                format!("there is no credential `{name}`"),
                format!("put it into {} (mode 0600)", self.folder.join(name).display()),
            ),
        };
        self.findings.add(credential.span(), what, help);
        None
    }
}

/// Where a credential may be: by its name, or as systemd names the files of a folder it was given
/// (`LoadCredential=credentials:FOLDER`, systemd.exec(5): the id, an underscore, the file's name).
pub(super) fn files_of(folder: &Path, name: &str) -> [PathBuf; 2] {
    [folder.join(name), folder.join(format!("credentials_{name}"))]
}

fn bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(std::io::Error::other(format!("it is larger than {MOST_BYTES} bytes")));
    }
    Ok(bytes)
}
