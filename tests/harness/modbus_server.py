"""A Modbus TCP device for the tests, made of pymodbus: an implementation that is not ours.

Prints `port N` when it listens. Then takes one JSON object a line on standard input, sets what it names and prints `set`:
    {"unit": 1, "discrete": {"0": true}, "holding": {"10": 7}, "coil": {...}, "input": {...}}
"""

import asyncio
import json
import sys

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

FUNCTION = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}


def device(unit):
    bits = lambda: [SimData(0, values=[False] * 256, datatype=DataType.BITS)]
    registers = lambda: [SimData(0, count=200, values=0, datatype=DataType.REGISTERS)]
    return SimDevice(unit, simdata=(bits(), bits(), registers(), registers()))


async def main():
    units = [device(int(unit)) for unit in sys.argv[1:] or ["1"]]
    server = ModbusTcpServer(units, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    print("port", server.transport.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        wanted = json.loads(line)
        unit = wanted.pop("unit", 1)
        for area, values in wanted.items():
            for address, value in values.items():
                refused = await server.context.async_setValues(unit, FUNCTION[area], int(address), [value])
                if refused:
                    raise SystemExit(f"{area} {address}: {refused}")
        print("set", flush=True)
    await server.shutdown()


asyncio.run(main())
