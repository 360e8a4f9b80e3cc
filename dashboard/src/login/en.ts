import type { Words } from './zh'

export const words: Words = {
  login: {
    title: 'Log in',
    account: 'Account',
    password: 'Password',
    enter: 'Log in',
    failed: 'Not logged in',
    to: 'Go to',
  },
}
