import type { Message } from '@bufbuild/protobuf'

/** A protobuf message as plain data: 64-bit numbers become numbers (ids and milliseconds stay far below 2^53). */
export type Plain<T> = T extends bigint
  ? number
  : T extends Uint8Array
    ? T
    : T extends (infer U)[]
      ? Plain<U>[]
      : T extends object
        ? { [K in keyof T as K extends '$typeName' | '$unknown' ? never : K]: Plain<T[K]> }
        : T

export function plain<T extends Message>(message: T): Plain<T> {
  return convert(message) as Plain<T>
}

function convert(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value)
  if (Array.isArray(value)) return value.map(convert)
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value
  const out: Record<string, unknown> = {}
  for (const [key, inner] of Object.entries(value)) if (key[0] !== '$') out[key] = convert(inner)
  return out
}
