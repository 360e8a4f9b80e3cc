// What the client needs of the world, so that tests can put their own clock, dice and sockets in its place. Browsers and
// Node 22 have all of it; on Node 20 the socket comes from the package `ws`.

/** What a socket tells. Nothing comes after `closed`. */
export interface Told {
  opened(): void
  message(data: unknown): void
  /** Code and reason as in RFC 6455; 1006 = it broke, or was never open. */
  closed(code: number, reason: string): void
}
export interface Socket {
  /** Bytes that wait to be sent. */
  readonly waiting: number
  send(data: Uint8Array | string): void
  close(): void
}
/** Opens a socket to an address with a subprotocol. */
export type Dial = (address: string, protocol: string, told: Told) => Socket

export interface Time {
  /** Milliseconds since 1970; may jump. */
  wall(): number
  /** Milliseconds since some moment; never jumps. */
  steady(): number
  /** Calls once after so many milliseconds; gives the way to stop it. */
  after(ms: number, run: () => void): () => void
}

/** The part of a WebSocket that is used. */
export interface WebSocketLike {
  binaryType: string
  readonly readyState: number
  readonly bufferedAmount: number
  send(data: never): void
  close(code?: number): void
  addEventListener(kind: never, listener: never): void
}
const OPEN = 1

/** Sockets made by `make`, for all that behave like a browser's. */
export function dialWith(make: (address: string, protocol: string) => WebSocketLike): Dial {
  return (address, protocol, told) => {
    const socket = make(address, protocol)
    const listen = (
      kind: string,
      listener: (event: { data?: unknown; code?: number; reason?: string }) => void,
    ): void => socket.addEventListener(kind as never, listener as never)
    socket.binaryType = 'arraybuffer'
    listen('open', () => told.opened())
    listen('message', (event) => told.message(event.data))
    listen('close', (event) => told.closed(event.code ?? 1006, event.reason ?? ''))
    // A close follows each error and says as much.
    listen('error', () => undefined)
    return {
      get waiting() {
        return socket.bufferedAmount
      },
      send: (data) => {
        if (socket.readyState === OPEN) socket.send(data as never)
      },
      close: () => socket.close(),
    }
  }
}

interface Platform {
  WebSocket: new (address: string, protocol: string) => WebSocketLike
  performance: { now(): number }
  setTimeout(run: () => void, ms: number): number
  clearTimeout(timer: number): void
}
const platform = globalThis as unknown as Platform

export const realDial: Dial = dialWith((address, protocol) => new platform.WebSocket(address, protocol))
export const realTime: Time = {
  wall: () => Date.now(),
  steady: () => platform.performance.now(),
  after: (ms, run) => {
    const timer = platform.setTimeout(run, ms)
    return () => platform.clearTimeout(timer)
  },
}
