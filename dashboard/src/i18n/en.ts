import { centre } from './en.centre'
import { phone } from './en.phone'
import type { Messages } from './zh'

export const en: Messages = { ...phone, ...centre }
