"""A Modbus TCP device for the tests, made of pymodbus: an implementation that is not ours.

Prints `port N` when it listens. Then takes one JSON object a line on standard input and answers with one line.

Sets values, and how a unit behaves from then on, and prints `set`:
    {"unit": 1, "discrete": {"0": true}, "holding": {"10": 7}, "coil": {...}, "input": {...}}
    {"unit": 1, "behaves": {}}                              answers what it is asked
    {"unit": 1, "behaves": {"exception": 6}}                answers everything with this exception
    {"unit": 1, "behaves": {"missing": [5, 9]}}             has no registers there: exception 2
    {"unit": 1, "behaves": {"whole": [[0, 10], [10, 4]]}}   reads of registers must be one of these (start, count), else 2
    {"unit": 1, "behaves": {"ignores": [5]}}                does not answer reads of these registers at all
    {"unit": 1, "behaves": {"mute": true}}                  does not answer anything
    {"unit": 1, "behaves": {"delay": 0.5}}                  answers after so many seconds

Says what it was asked since it was last asked for this, and how many connections it has now:
    {"asked": true}   ->   {"asked": [[unit, function, address, count], ...], "connections": 1}
"""

import asyncio
import functools
import json
import sys

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

FUNCTION = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
behaves = {}
asked = []
connections = 0


async def read(unit, function, _start, address, count, _registers, written):
    if written is not None:
        return None
    asked.append([unit, function, address, count])
    how = behaves.get(unit, {})
    wanted = range(address, address + count)
    if how.get("mute") or any(ignored in wanted for ignored in how.get("ignores", [])):
        await asyncio.Event().wait()
    if delay := how.get("delay"):
        await asyncio.sleep(delay)
    if exception := how.get("exception"):
        return ExcCodes(exception)
    if any(missing in wanted for missing in how.get("missing", [])):
        return ExcCodes.ILLEGAL_ADDRESS
    if "whole" in how and [address, count] not in how["whole"]:
        return ExcCodes.ILLEGAL_ADDRESS
    return None


def connected(is_connected):
    global connections
    connections += 1 if is_connected else -1


def device(unit):
    bits = lambda: [SimData(0, values=[False] * 256, datatype=DataType.BITS)]
    registers = lambda: [SimData(0, count=200, values=0, datatype=DataType.REGISTERS)]
    data = (bits(), bits(), registers(), registers())
    return SimDevice(unit, simdata=data, action=functools.partial(read, unit))


async def set_values(server, wanted):
    unit = wanted.pop("unit", 1)
    if "behaves" in wanted:
        behaves[unit] = wanted.pop("behaves")
    for area, values in wanted.items():
        for address, value in values.items():
            refused = await server.context.async_setValues(unit, FUNCTION[area], int(address), [value])
            if refused:
                raise SystemExit(f"{area} {address}: {refused}")


async def main():
    port = int(sys.argv[1])
    units = [device(int(unit)) for unit in sys.argv[2:] or ["1"]]
    server = ModbusTcpServer(units, address=("127.0.0.1", port), trace_connect=connected)
    await server.serve_forever(background=True)
    print("port", server.transport.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        wanted = json.loads(line)
        if wanted.pop("asked", False):
            print(json.dumps({"asked": asked, "connections": connections}), flush=True)
            asked.clear()
        else:
            await set_values(server, wanted)
            print("set", flush=True)
    await server.shutdown()


asyncio.run(main())
