import { together, type Section } from './together'

/** What wall, centre and login say: the words of all folders but the phone's. */
export const centre = together(
  import.meta.glob<Record<string, Section>>(['../*/en.ts', '!../mobile/en.ts'], { eager: true, import: 'words' }),
)
