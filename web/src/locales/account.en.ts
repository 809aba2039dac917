/** English words of one's own account. */
import type { accountZh } from './account.zh'

export const accountEn: Record<keyof typeof accountZh, string> = {
  'account.title': 'My account',
  'account.open': 'My account: {name}',
  'account.sign_ins': 'Where I am signed in',
  'account.sign_ins.about': 'Ending a sign-in stops what is being watched there at once.',
  'account.since': 'Signed in {since}, last used {used}',
  'account.current': 'This page',
  'account.end': 'End',
  'account.end_others': 'End all others',
  'account.failed': 'That did not work ({code}).',
}
