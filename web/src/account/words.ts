/** What went wrong with one's account, in words. */
import type { ApiError } from '../api'
import { hasKey, t } from '../i18n'

export function errorText(error: ApiError): string {
  const key = `account.error.${error.code}`
  if (error.status === 429) return t('signin.slow_down', { seconds: Math.ceil((error.retryAfterMs ?? 60_000) / 1000) })
  return hasKey(key) ? t(key) : t('account.failed', { code: error.code })
}
