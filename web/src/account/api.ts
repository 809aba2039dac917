/**
 * What one calls about one's own account: where one is signed in. Through `request` of the one door.
 */
import type { Api, Result } from '../api'

export interface OwnSignIn {
  readonly id: string
  readonly created_at: string
  readonly used_at: string
  readonly remote: string | null
  readonly agent: string | null
  readonly current: boolean
}

const SIGN_INS = '/api/v1/sign-ins'

export function ownSignIns(api: Api): Promise<Result<{ readonly items: readonly OwnSignIn[] }>> {
  return api.get(SIGN_INS)
}

export function endSignIn(api: Api, id: string): Promise<Result<null>> {
  return api.request(`${SIGN_INS}/${encodeURIComponent(id)}`, { method: 'DELETE' })
}

export function endOtherSignIns(api: Api): Promise<Result<{ readonly ended: number }>> {
  return api.request(SIGN_INS, { method: 'DELETE' })
}

/** The browser and its system, as far as the User-Agent tells; the text itself where it does not. */
export function agentName(agent: string | null): string | null {
  if (agent === null) return null
  const browser = /(Edg|OPR|Firefox|Chrome|Safari)\/(\d+)/.exec(agent)
  if (browser === null) return agent.slice(0, 40)
  const system = /(Windows|Android|iPhone|iPad|Mac OS X|CrOS|Linux)/.exec(agent)?.[1]
  const name = { Edg: 'Edge', OPR: 'Opera' }[browser[1] ?? ''] ?? browser[1]
  return `${name} ${browser[2]}${system === undefined ? '' : `, ${system}`}`
}
