// Subprotocols: how messages look on the wire. A further encoding of the same messages is one more codec.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import {
  ClientMessageSchema,
  ServerMessageSchema,
  type Hello,
  type Ping,
  type ServerMessage,
} from './generated/feed_pb'

export type Said =
  | { case: 'hello'; value: Pick<Hello, 'logId' | 'cursor' | 'conflate'> }
  | { case: 'ping'; value: Pick<Ping, 'clientTime'> }

export interface Codec {
  /** Name of the WebSocket subprotocol. */
  readonly protocol: string
  encode(said: Said): Uint8Array | string
  /** Throws at what is no whole message. */
  decode(data: unknown): ServerMessage
}

export const binary: Codec = {
  protocol: 'maojiawan.feed.v1',
  encode: (said) => toBinary(ClientMessageSchema, create(ClientMessageSchema, { kind: said })),
  decode: (data) => {
    if (data instanceof ArrayBuffer) return fromBinary(ServerMessageSchema, new Uint8Array(data))
    if (data instanceof Uint8Array) return fromBinary(ServerMessageSchema, data)
    throw new TypeError('a message that is not binary')
  },
}
