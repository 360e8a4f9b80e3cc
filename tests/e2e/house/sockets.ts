// The feed and the media socket as a program uses them. The feed client holds the rule of the contract: whatever comes
// must start where the last ended.
import { create, fromBinary, toBinary, type MessageInitShape } from '@bufbuild/protobuf'
import WebSocket from 'ws'
import { ClientMessageSchema, ServerMessageSchema, type Event } from '../../../dashboard/client/src/generated/feed_pb'
import {
  ClientMessageSchema as MediaClientSchema,
  Kind,
  ServerMessageSchema as MediaServerSchema,
  type ServerMessage as MediaMessage,
} from '../../../dashboard/src/generated/media_pb'
import type { Centre } from './centre'
import type { Person } from './people'
import { until } from './wait'

function dial(centre: Centre, who: Person, path: string, protocol: string): WebSocket {
  const socket = new WebSocket(`ws://127.0.0.1:${centre.port}${path}`, protocol, {
    headers: { cookie: who.cookie },
    origin: centre.address,
  })
  socket.binaryType = 'arraybuffer'
  return socket
}

export class Feed {
  private socket: WebSocket | undefined
  logId = 0n
  cursor = 0n
  snapshots = 0
  /** Every event seen, in order. */
  readonly events: Event[] = []
  /** What broke the contract; must stay empty. */
  readonly gaps: string[] = []

  constructor(
    private readonly centre: Centre,
    private readonly who: Person,
  ) {}

  /** Connects, with the cursor if there is one, and waits for the first answer. */
  async connect(): Promise<void> {
    await until('the feed answers', async () => {
      const socket = dial(this.centre, this.who, '/api/v1/feed', 'maojiawan.feed.v1')
      this.socket = socket
      return new Promise<boolean>((done, failed) => {
        socket.on('error', failed)
        socket.on('open', () =>
          socket.send(
            toBinary(
              ClientMessageSchema,
              create(ClientMessageSchema, {
                kind: { case: 'hello', value: { logId: this.logId, cursor: this.cursor, conflate: false } },
              }),
            ),
          ),
        )
        socket.on('message', (data: ArrayBuffer) => {
          this.take(new Uint8Array(data))
          done(true)
        })
      })
    })
  }

  private take(bytes: Uint8Array): void {
    const { kind } = fromBinary(ServerMessageSchema, bytes)
    if (kind.case === 'snapshot') {
      this.snapshots++
      this.logId = kind.value.logId
      this.cursor = kind.value.seq
    } else if (kind.case === 'frame') {
      if (kind.value.after !== this.cursor || kind.value.logId !== this.logId)
        this.gaps.push(`after ${kind.value.after}, cursor ${this.cursor}`)
      this.cursor = kind.value.upto
      for (const item of kind.value.items) if (item.event !== undefined) this.events.push(item.event)
    }
  }

  get open(): boolean {
    return this.socket?.readyState === WebSocket.OPEN
  }
  close(): void {
    this.socket?.terminate()
  }
}

/** One viewer of one camera on one media socket. */
export class Viewer {
  private readonly socket: WebSocket
  readonly messages: MediaMessage[] = []
  closed = false

  constructor(centre: Centre, who: Person, camera: string) {
    const socket = dial(centre, who, '/api/v1/media', 'maojiawan.media.v1')
    this.socket = socket
    const send = (kind: NonNullable<MessageInitShape<typeof MediaClientSchema>['kind']>): void =>
      socket.send(toBinary(MediaClientSchema, create(MediaClientSchema, { kind })))
    socket.on('open', () =>
      send({ case: 'subscribe', value: { stream: 1, camera, main: false, keysOnly: false, credit: 64 } }),
    )
    socket.on('close', () => (this.closed = true))
    socket.on('error', () => (this.closed = true))
    socket.on('message', (data: ArrayBuffer) => {
      const message = fromBinary(MediaServerSchema, new Uint8Array(data))
      this.messages.push(message)
      if (message.kind === Kind.FRAGMENT) send({ case: 'credit', value: { stream: 1, fragments: 1 } })
    })
  }

  /** The newest generation that has sent pictures. */
  get generation(): number {
    return this.messages.findLast((m) => m.kind === Kind.FRAGMENT)?.generation ?? 0
  }
  get fragments(): number {
    return this.messages.filter((m) => m.kind === Kind.FRAGMENT).length
  }
  states(): string[] {
    return this.messages.filter((m) => m.kind === Kind.STATE).map((m) => m.state)
  }
  close(): void {
    this.socket.terminate()
  }
}
