// A device at the broker: MQTT 3.1.1 by hand, publications of QoS 1 only. Small enough to be sure of what it does.
import { connect, type Socket } from 'node:net'
import type { SiteFile } from './centre'
import { until } from './wait'

const text = (s: string): Buffer => {
  const bytes = Buffer.from(s)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])
}
function packet(type: number, body: Buffer): Buffer {
  const length: number[] = []
  for (let rest = body.length; ;) {
    const low = rest & 127
    rest >>= 7
    length.push(rest > 0 ? low | 128 : low)
    if (rest === 0) return Buffer.concat([Buffer.from([type, ...length]), body])
  }
}

export class Device {
  private next = 1
  /** Publications that the broker has acknowledged. */
  acknowledged = 0
  lost = false
  private constructor(private readonly socket: Socket) {}

  static async connect({ brokerPort, brokerUser, brokerPassword }: SiteFile, name: string): Promise<Device> {
    const socket = connect(brokerPort, '127.0.0.1')
    const device = new Device(socket)
    let greeted = false
    let held = Buffer.alloc(0)
    socket.on('error', () => (device.lost = true))
    socket.on('close', () => (device.lost = true))
    socket.on('data', (bytes) => {
      held = Buffer.concat([held, bytes])
      // CONNACK and PUBACK are four bytes each; nothing else comes to one who does not subscribe.
      for (; held.length >= 4; held = held.subarray(4)) {
        if (held[0] === 0x20) greeted = held[3] === 0
        else if (held[0] === 0x40) device.acknowledged++
      }
    })
    const flags = 0x02 | 0x80 | 0x40
    socket.write(
      packet(
        0x10,
        Buffer.concat([
          text('MQTT'),
          Buffer.from([4, flags, 0, 60]),
          text(name),
          text(brokerUser),
          text(brokerPassword),
        ]),
      ),
    )
    await until('the broker lets the device in', () => greeted)
    return device
  }

  publish(topic: string, body: object): void {
    if (this.lost) return
    const id = this.next
    this.next = (this.next % 65_535) + 1
    this.socket.write(
      packet(0x32, Buffer.concat([text(topic), Buffer.from([id >> 8, id & 255]), Buffer.from(JSON.stringify(body))])),
    )
  }

  close(): void {
    this.socket.destroy()
  }
}
