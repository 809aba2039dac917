/**
 * The district's list of purposes: what people may say that they look for (docs/rights.md).
 */
import { jsonInit, type Api, type Purpose, type Result } from '../api'

/** As the service takes them. */
export const MAX_CODE_CHARS = 32
export const MAX_NAME_CHARS = 80
const CODE = /^[a-z0-9][a-z0-9._-]{1,31}$/
const PURPOSES = '/api/v1/purposes'

export class PurposeApi {
  constructor(private readonly door: Api) {}

  purposes(): Promise<Result<{ readonly items: readonly Purpose[] }>> {
    return this.door.purposes()
  }

  /** Adds one, or changes what that code says. */
  put({ code, ...words }: Purpose): Promise<Result<Purpose>> {
    return this.door.request(path(code), jsonInit('PUT', words))
  }

  /** Views that were opened for it, and need one, end. */
  remove(code: string): Promise<Result<null>> {
    return this.door.request(path(code), { method: 'DELETE' })
  }
}

function path(code: string): string {
  return `${PURPOSES}/${encodeURIComponent(code)}`
}

/** What a form has typed in, as the service keeps it; English is as the Chinese where it is left out. Null where something is missing. */
export function purposeDraft(form: Purpose): Purpose | null {
  const [code, zh, en] = [form.code.trim().toLowerCase(), form.zh.trim(), form.en.trim()]
  if (!CODE.test(code) || zh === '') return null
  return { code, zh, en: en === '' ? zh : en, needs_note: form.needs_note }
}
