// The media socket: many tiles on one connection (a further one beyond what it takes), apart from the feed so that alarms never queue behind pictures.
import { create, fromBinary, toBinary, type MessageInitShape } from '@bufbuild/protobuf'
import { ClientMessageSchema, Kind, ServerMessageSchema, type ServerMessage, type Sheet } from '../generated/media_pb'
import { fullJitter } from '../../client/src'
import { socketUrl } from './feed'

export const MEDIA_PROTOCOL = 'maojiawan.media.v1'
/** Fragments that the server may send ahead of us. */
export const CREDIT = 48
/** Tiles that the server takes on one connection; a wide wall shows more. */
export const TILES = 64
/** A tile on key frames only tries all pictures again after this long; each time that it fails doubles it. */
const RECOVER_FIRST = 30_000
const RECOVER_CAP = 300_000
/** When a tile asks again and nothing at all has come for so long, the connection is dead although nobody said so. */
const SILENT = 10_000
const RETRY_FIRST = 500
const RETRY_CAP = 8_000

export interface TileHandler {
  init(message: ServerMessage): void
  fragment(message: ServerMessage): void
  state(message: ServerMessage): void
  skipped(count: number): void
  failed(code: string): void
  /** The socket went away; pictures stand still until it is back. */
  lost(): void
}
interface Tile {
  camera: string
  main: boolean
  keysOnly: boolean
  recover: number
  retry?: ReturnType<typeof setTimeout>
  handler: TileHandler
  owed: number
}
export type SheetHandler = (jpeg: Uint8Array<ArrayBuffer>, sheet: Sheet) => void

class Connection {
  private socket: WebSocket | undefined
  private readonly tiles = new Map<number, Tile>()
  private sheet: SheetHandler | undefined
  private attempt = 0
  private heard = 0
  private retry: ReturnType<typeof setTimeout> | undefined
  private idle: ReturnType<typeof setTimeout> | undefined

  constructor() {
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) this.pause()
      else this.resume()
    })
  }

  get size(): number {
    return this.tiles.size
  }

  has(stream: number): boolean {
    return this.tiles.has(stream)
  }

  open(stream: number, camera: string, main: boolean, handler: TileHandler): void {
    this.tiles.set(stream, { camera, main, keysOnly: false, recover: RECOVER_FIRST, handler, owed: 0 })
    this.subscribe(stream)
    this.ensure()
  }

  close(stream: number): void {
    clearTimeout(this.tiles.get(stream)?.retry)
    if (this.tiles.delete(stream)) this.send({ case: 'unsubscribe', value: { stream } })
    this.rest()
  }

  /** Asks for key frames only: this machine does not keep up. */
  degrade(stream: number): void {
    const tile = this.tiles.get(stream)
    if (tile === undefined || tile.keysOnly) return
    tile.keysOnly = true
    this.subscribe(stream)
    tile.retry = setTimeout(() => {
      tile.keysOnly = false
      this.subscribe(stream)
    }, tile.recover)
    tile.recover = Math.min(RECOVER_CAP, tile.recover * 2)
  }

  /** Starts a tile again from the newest key frame. */
  again(stream: number): void {
    if (document.hidden) return
    const socket = this.socket
    if (socket === undefined || performance.now() - this.heard < SILENT) return this.subscribe(stream)
    socket.onopen = socket.onclose = null
    socket.close()
    this.lost(socket)
  }

  /** One fragment was taken; credit goes back in lots. */
  took(stream: number): void {
    const tile = this.tiles.get(stream)
    if (tile === undefined || ++tile.owed < CREDIT / 3) return
    this.send({ case: 'credit', value: { stream, fragments: tile.owed } })
    tile.owed = 0
  }

  watchSheet(handler: SheetHandler | undefined): void {
    this.sheet = handler
    this.send({ case: 'sheet', value: { on: handler !== undefined } })
    if (handler !== undefined) this.ensure()
    else this.rest()
  }

  private subscribe(stream: number): void {
    const tile = this.tiles.get(stream)
    if (tile === undefined || document.hidden) return
    tile.owed = 0
    const { camera, main, keysOnly } = tile
    this.send({ case: 'subscribe', value: { stream, camera, main, keysOnly, credit: CREDIT } })
  }

  private ensure(): void {
    clearTimeout(this.idle)
    if (this.socket !== undefined || this.retry !== undefined || document.hidden) return
    const socket = new WebSocket(socketUrl('/api/v1/media'), MEDIA_PROTOCOL)
    socket.binaryType = 'arraybuffer'
    this.socket = socket
    this.heard = performance.now()
    socket.onopen = () => {
      this.heard = performance.now()
      for (const stream of this.tiles.keys()) this.subscribe(stream)
      if (this.sheet !== undefined) this.send({ case: 'sheet', value: { on: true } })
    }
    socket.onmessage = (event) =>
      socket === this.socket && this.receive(fromBinary(ServerMessageSchema, new Uint8Array(event.data as ArrayBuffer)))
    socket.onclose = () => this.lost(socket)
  }

  private receive(message: ServerMessage): void {
    this.attempt = 0
    this.heard = performance.now()
    if (message.kind === Kind.SHEET) {
      if (message.sheet !== undefined) this.sheet?.(message.payload as Uint8Array<ArrayBuffer>, message.sheet)
      return
    }
    const handler = this.tiles.get(message.stream)?.handler
    if (handler === undefined) return
    if (message.kind === Kind.FRAGMENT) handler.fragment(message)
    else if (message.kind === Kind.INIT) handler.init(message)
    else if (message.kind === Kind.STATE) handler.state(message)
    else if (message.kind === Kind.SKIPPED) handler.skipped(message.skipped)
    else if (message.kind === Kind.ERROR) handler.failed(message.error)
  }

  private lost(socket: WebSocket): void {
    if (socket !== this.socket) return
    this.socket = undefined
    for (const tile of this.tiles.values()) tile.handler.lost()
    if (this.tiles.size === 0 && this.sheet === undefined) return
    this.retry = setTimeout(
      () => {
        this.retry = undefined
        this.ensure()
      },
      fullJitter(this.attempt++, RETRY_FIRST, RETRY_CAP, Math.random),
    )
  }

  private pause(): void {
    for (const stream of this.tiles.keys()) this.send({ case: 'unsubscribe', value: { stream } })
    if (this.sheet !== undefined) this.send({ case: 'sheet', value: { on: false } })
  }

  private resume(): void {
    if (this.tiles.size === 0 && this.sheet === undefined) return
    this.heard = performance.now()
    for (const stream of this.tiles.keys()) this.subscribe(stream)
    if (this.sheet !== undefined) this.send({ case: 'sheet', value: { on: true } })
    this.ensure()
  }

  /** Nobody looks: the socket goes after a while. */
  private rest(): void {
    if (this.tiles.size > 0 || this.sheet !== undefined) return
    clearTimeout(this.idle)
    this.idle = setTimeout(() => {
      const socket = this.socket
      this.socket = undefined
      if (socket !== undefined) {
        socket.onclose = null
        socket.close()
      }
    }, 10_000)
  }

  private send(kind: NonNullable<MessageInitShape<typeof ClientMessageSchema>['kind']>): void {
    if (this.socket?.readyState !== WebSocket.OPEN) return
    this.socket.send(toBinary(ClientMessageSchema, create(ClientMessageSchema, { kind })))
  }
}

/** As many connections as the tiles need, each within what the server takes on one. */
export class MediaClient {
  private readonly connections = [new Connection()]
  /** Counts over all connections, so that a stream names its tile wherever it is. */
  private next = 1

  open(camera: string, main: boolean, handler: TileHandler): number {
    let free = this.connections.find((c) => c.size < TILES)
    if (free === undefined) this.connections.push((free = new Connection()))
    const stream = this.next++
    free.open(stream, camera, main, handler)
    return stream
  }
  close(stream: number): void {
    this.of(stream)?.close(stream)
  }
  degrade(stream: number): void {
    this.of(stream)?.degrade(stream)
  }
  again(stream: number): void {
    this.of(stream)?.again(stream)
  }
  took(stream: number): void {
    this.of(stream)?.took(stream)
  }
  watchSheet(handler: SheetHandler | undefined): void {
    this.connections[0].watchSheet(handler)
  }
  private of(stream: number): Connection | undefined {
    return this.connections.find((c) => c.has(stream))
  }
}

let shared: MediaClient | undefined
export const media = (): MediaClient => (shared ??= new MediaClient())
