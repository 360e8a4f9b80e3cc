// The feed socket: Hello with cursor, frames into the store, pings for the clock, jittered back-off, link state.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { computed, ref } from 'vue'
import { ClientMessageSchema, ServerMessageSchema, type ClientMessage } from '../generated/feed_pb'
import { clock, now, roundTrip } from './clock'
import { FeedCore, type Sink } from './feed-core'

export const FEED_PROTOCOL = 'maojiawan.feed.v1'
const PING_EVERY = 1_000
/** Without any message for this long what is shown counts as old. */
const SILENCE = 3_000
/** And for this long the socket is taken for dead. */
const DEAD = 6_000
const BACKOFF_FIRST = 250
const BACKOFF_CAP = 4_000

export type LinkState = 'connecting' | 'open' | 'down'
export const link = ref<LinkState>('connecting')
/** Server time of the last message, milliseconds; 0 = none yet. */
export const lastGood = ref(0)
/** Local time since when the link is down; 0 = it is up. */
export const downSince = ref(0)
/** How long ago the newest message came, milliseconds. */
export const silence = computed(() => (lastGood.value === 0 ? 0 : Math.max(0, now.value - lastGood.value)))
/** The banner shows from two seconds on. */
export const cutOff = computed(() => lastGood.value > 0 && silence.value > (link.value === 'down' ? 2_000 : SILENCE))

export const backoff = (attempt: number, random: () => number = Math.random): number =>
  Math.min(BACKOFF_CAP, BACKOFF_FIRST * 2 ** Math.min(attempt, 10)) * (0.5 + random())

export const socketUrl = (path: string): string => `${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}${path}`

export class FeedClient {
  private socket: WebSocket | undefined
  private attempt = 0
  private heard = 0
  private timers: ReturnType<typeof setTimeout>[] = []
  private stopped = false
  readonly core: FeedCore

  constructor(sink: Sink, private readonly conflate: boolean) {
    this.core = new FeedCore(sink)
  }

  start(): void {
    this.stopped = false
    this.connect()
  }

  stop(): void {
    this.stopped = true
    this.drop()
  }

  private connect(): void {
    const socket = new WebSocket(socketUrl('/api/v1/feed'), FEED_PROTOCOL)
    socket.binaryType = 'arraybuffer'
    this.socket = socket
    this.heard = performance.now()
    socket.onopen = () => {
      this.send({ case: 'hello', value: { logId: this.core.logId, cursor: this.core.cursor, conflate: this.conflate } })
      this.ping(socket)
    }
    socket.onmessage = (message) => this.receive(socket, message.data as ArrayBuffer)
    socket.onclose = () => this.reconnect(socket)
    this.watch(socket)
  }

  private receive(socket: WebSocket, data: ArrayBuffer): void {
    if (socket !== this.socket) return
    this.heard = performance.now()
    const message = fromBinary(ServerMessageSchema, new Uint8Array(data))
    this.takeTime(message.kind)
    const outcome = this.core.apply(message)
    if (outcome === 'missed') this.reconnect(socket)
    else if (outcome === 'applied') this.attempt = 0
    if (socket === this.socket && this.core.cursor + this.core.logId > 0n) {
      link.value = 'open'
      downSince.value = 0
      lastGood.value = clock.time()
    }
  }

  private takeTime(kind: ReturnType<typeof fromBinary<typeof ServerMessageSchema>>['kind']): void {
    if (kind.case === 'pong') {
      const [sent, received] = [Number(kind.value.clientTime), Date.now()]
      clock.pong(sent, Number(kind.value.serverTime), received)
      roundTrip.value = received - sent
    } else if (kind.case === 'snapshot' || kind.case === 'frame' || kind.case === 'heartbeat') {
      clock.hint(Number(kind.value.serverTime))
    }
  }

  private send(kind: NonNullable<Parameters<typeof create<typeof ClientMessageSchema>>[1]>['kind']): void {
    if (this.socket?.readyState !== WebSocket.OPEN) return
    const message: ClientMessage = create(ClientMessageSchema, { kind } as never)
    this.socket.send(toBinary(ClientMessageSchema, message))
  }

  private ping(socket: WebSocket): void {
    if (socket !== this.socket) return
    this.send({ case: 'ping', value: { clientTime: BigInt(Date.now()) } })
    this.timers.push(setTimeout(() => this.ping(socket), PING_EVERY))
  }

  private watch(socket: WebSocket): void {
    if (socket !== this.socket) return
    if (performance.now() - this.heard > DEAD) this.reconnect(socket)
    else this.timers.push(setTimeout(() => this.watch(socket), 1_000))
  }

  private drop(): void {
    for (const timer of this.timers.splice(0)) clearTimeout(timer)
    const socket = this.socket
    this.socket = undefined
    if (socket !== undefined) {
      socket.onclose = null
      socket.onmessage = null
      socket.close()
    }
  }

  private reconnect(socket: WebSocket): void {
    if (socket !== this.socket || this.stopped) return
    this.drop()
    link.value = 'down'
    if (downSince.value === 0) downSince.value = Date.now()
    this.timers.push(setTimeout(() => this.connect(), backoff(this.attempt++)))
  }
}
