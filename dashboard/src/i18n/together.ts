export type Section = { [key: string]: string | Section }

/** The words of several folders as one; a section that two of them have is joined. */
export function together(folders: Record<string, Record<string, Section>>): Record<string, Section> {
  const all: Record<string, Section> = {}
  for (const words of Object.values(folders))
    for (const [name, section] of Object.entries(words)) all[name] = { ...all[name], ...section }
  return all
}
