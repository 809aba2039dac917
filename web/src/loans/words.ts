/** Loans in words. */
import { t } from '../i18n'
import type { Loan } from './api'

export function spanOf(minutes: number): string {
  return minutes % 60 === 0 ? t('unit.hours', { n: minutes / 60 }) : t('unit.minutes', { n: minutes })
}

/** The camera's name for whom there is one, else what was asked for. */
export function nameOf(loan: Loan): string {
  return loan.channel_name ?? loan.asked
}

export function actionsOf(actions: readonly string[]): string {
  const words = actions.flatMap((each) => (each === 'live' || each === 'snapshot' || each === 'playback' ? [t(`loan.action.${each}`)] : []))
  return words.join(' / ')
}
