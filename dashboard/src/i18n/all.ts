// All words of both languages, for tests; screens load the parts that they need.
import { centre as enCentre } from './en.centre'
import { phone as enPhone } from './en.phone'
import { centre as zhCentre } from './zh.centre'
import { phone as zhPhone } from './zh.phone'

export const zh = { ...zhPhone, ...zhCentre }
export const en = { ...enPhone, ...enCentre }
