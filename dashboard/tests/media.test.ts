// The media client against a socket that only notes what it is told.
import { readFileSync } from 'node:fs'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { ClientMessageSchema, Kind, ServerMessageSchema } from '../src/generated/media_pb'
import { MediaClient, TILES, type TileHandler } from '../src/lib/media'

class Socket {
  static readonly OPEN = 1
  static all: Socket[] = []
  readyState = 1
  binaryType = ''
  onopen: (() => void) | null = null
  onmessage: ((event: { data: ArrayBuffer }) => void) | null = null
  onclose: (() => void) | null = null
  readonly told: string[] = []
  constructor() {
    Socket.all.push(this)
  }
  send(bytes: Uint8Array): void {
    const { kind } = fromBinary(ClientMessageSchema, bytes)
    this.told.push(
      kind.case === 'subscribe'
        ? `subscribe ${kind.value.camera}${kind.value.keysOnly ? ' keys' : ''}`
        : String(kind.case),
    )
  }
  close(): void {
    this.readyState = 3
  }
  says(kind: Kind): void {
    const bytes = toBinary(ServerMessageSchema, create(ServerMessageSchema, { stream: 1, kind }))
    this.onmessage?.({ data: bytes.buffer as ArrayBuffer })
  }
}
let visibility: () => void
const page = { hidden: false, addEventListener: (_: string, listener: () => void) => (visibility = listener) }
const handler: TileHandler = {
  init: () => undefined,
  fragment: () => undefined,
  state: () => undefined,
  skipped: () => undefined,
  failed: () => undefined,
  lost: () => undefined,
}
function hide(hidden: boolean): void {
  page.hidden = hidden
  visibility()
}

beforeEach(() => {
  vi.useFakeTimers()
  Socket.all = []
  page.hidden = false
  vi.stubGlobal('WebSocket', Socket)
  vi.stubGlobal('document', page)
  vi.stubGlobal('location', { protocol: 'http:', host: 'centre' })
})
afterEach(() => {
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

it('asks for no pictures while nobody can see them', () => {
  const client = new MediaClient()
  const stream = client.open('c1', false, handler)
  const socket = Socket.all[0]!
  socket.onopen?.()
  client.degrade(stream)
  hide(true)
  vi.advanceTimersByTime(60_000)
  client.again(stream)
  expect(socket.told).toEqual(['subscribe c1', 'subscribe c1 keys', 'unsubscribe'])
  hide(false)
  expect(socket.told.at(-1)).toBe('subscribe c1')
})

it('connects again when the socket died without a word, and only then', () => {
  const client = new MediaClient()
  const stream = client.open('c1', false, handler)
  const socket = Socket.all[0]!
  socket.onopen?.()
  vi.advanceTimersByTime(9_000)
  socket.says(Kind.FRAGMENT)
  vi.advanceTimersByTime(9_000)
  client.again(stream)
  expect([Socket.all.length, socket.told]).toEqual([1, ['subscribe c1', 'subscribe c1']])
  vi.advanceTimersByTime(2_000)
  client.again(stream)
  expect(socket.readyState).toBe(3)
  vi.advanceTimersByTime(1_000)
  Socket.all[1]?.onopen?.()
  expect(Socket.all.map((s) => s.told.length)).toEqual([2, 1])
})

it('shows more tiles than the server takes on one connection, by a further one', () => {
  const gateway = readFileSync(new URL('../../services/gateway/src/media.rs', import.meta.url), 'utf8')
  expect(TILES).toBeLessThanOrEqual(Number(/const TILES: usize = (\d+)/.exec(gateway)![1]))
  const client = new MediaClient()
  const streams = Array.from({ length: TILES + 4 }, (_, n) => client.open(`c${n}`, false, handler))
  expect(new Set(streams).size).toBe(TILES + 4)
  for (const socket of Socket.all) socket.onopen?.()
  const asked = () => Socket.all.map((s) => new Set(s.told.filter((w) => w.startsWith('subscribe'))).size)
  expect(asked()).toEqual([TILES, 4])
  // What leaves makes room on its own connection, and is told there.
  client.close(streams[3]!)
  expect(Socket.all.map((s) => s.told.at(-1))).toEqual(['unsubscribe', `subscribe c${TILES + 3}`])
  client.open('next', true, handler)
  expect(asked()).toEqual([TILES + 1, 4])
  client.again(streams[TILES]!)
  expect(Socket.all[1]!.told.at(-1)).toBe(`subscribe c${TILES}`)
})
