// All of it, for types and tests; screens load the parts that they need.
import { centre } from './zh.centre'
import { phone } from './zh.phone'

export const zh = { ...phone, ...centre }
export type Messages = typeof zh
