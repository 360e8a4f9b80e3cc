// The nouns of the feed as plain data, and the names of their levels and modes.
export * from '../../client/src/nouns'

export type Level = 0 | 1 | 2
export const RED = 2
export const YELLOW = 1
export const NORMAL = 0
export const REAL = 0
export const EXERCISE = 1
