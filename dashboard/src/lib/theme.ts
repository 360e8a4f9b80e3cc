// Dark or light, one for all pages of this machine. public/theme.js has applied it before the first picture.
import { ref, watch } from 'vue'

export type Theme = 'dark' | 'light'

const root = document.documentElement
export const theme = ref<Theme>(root.dataset['theme'] === 'light' ? 'light' : 'dark')
watch(
  theme,
  (value) => {
    root.dataset['theme'] = value
    // What the phone draws around the page.
    const colour = getComputedStyle(root).getPropertyValue('--surface').trim()
    document.querySelector('meta[name=theme-color]')?.setAttribute('content', colour)
  },
  { immediate: true },
)

/** A person's choice: it holds until the next one. */
export function toggleTheme(): void {
  theme.value = theme.value === 'dark' ? 'light' : 'dark'
  localStorage.setItem('theme', theme.value)
}

// Other pages of this machine follow at once.
addEventListener('storage', (e) => {
  if (e.key === 'theme' && (e.newValue === 'light' || e.newValue === 'dark')) theme.value = e.newValue
})
