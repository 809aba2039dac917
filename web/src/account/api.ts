/**
 * What one calls about one's own account: where one is signed in, the password, the second factor, keys for programs. Through `request` of the one door.
 */
import { jsonInit, type Api, type Result } from '../api'
import type { components } from '../openapi'

type Schemas = components['schemas']
export type OwnSignIn = Schemas['SignInOut']
export type SecondFactorStatus = Schemas['SecondFactorOut']
export type Enrolment = Schemas['EnrolmentOut']
export type OwnKey = Schemas['KeyOut']
export type KeyDraft = Schemas['KeyCreate']

const SIGN_INS = '/api/v1/sign-ins'

export function ownSignIns(api: Api): Promise<Result<Schemas['SignInList']>> {
  return api.get(SIGN_INS)
}

export function endSignIn(api: Api, id: string): Promise<Result<null>> {
  return api.request(`${SIGN_INS}/${encodeURIComponent(id)}`, { method: 'DELETE' })
}

export function endOtherSignIns(api: Api): Promise<Result<Schemas['Ended']>> {
  return api.request(SIGN_INS, { method: 'DELETE' })
}

const BROWSERS = [/(Edg)\/(\d+)/, /(OPR)\/(\d+)/, /(Firefox)\/(\d+)/, /(Chrome)\/(\d+)/, /(Safari)\/(\d+)/]

/** The browser and its system, as far as the User-Agent tells; the text itself where it does not. */
export function agentName(agent: string | null): string | null {
  if (agent === null) return null
  // Each calls itself by the names of those before it, too.
  const browser = BROWSERS.map((pattern) => pattern.exec(agent)).find((found) => found !== null)
  if (browser === undefined) return agent.slice(0, 40)
  const system = /(Windows|Android|iPhone|iPad|Mac OS X|CrOS|Linux)/.exec(agent)?.[1]
  const name = { Edg: 'Edge', OPR: 'Opera' }[browser[1] ?? ''] ?? browser[1]
  return `${name} ${browser[2]}${system === undefined ? '' : `, ${system}`}`
}

const SECOND_FACTOR = '/api/v1/me/second-factor'

export function secondFactor(api: Api): Promise<Result<SecondFactorStatus>> {
  return api.get(SECOND_FACTOR)
}

export function enrol(api: Api, password: string): Promise<Result<Enrolment>> {
  return api.request(SECOND_FACTOR, jsonInit('POST', { password }))
}

export function confirmSecondFactor(api: Api, code: string): Promise<Result<Schemas['RecoveryCodes']>> {
  return api.request(`${SECOND_FACTOR}/confirm`, jsonInit('POST', { code }))
}

export function removeSecondFactor(api: Api, password: string): Promise<Result<null>> {
  return api.request(`${SECOND_FACTOR}/remove`, jsonInit('POST', { password }))
}

/** A secret of base32 in groups of four, as people read it. */
export function grouped(secret: string): string {
  return secret.replace(/(.{4})(?=.)/g, '$1 ')
}

export function changePassword(api: Api, current: string, next: string): Promise<Result<null>> {
  return api.request('/api/v1/me/password', jsonInit('PUT', { current, new: next }))
}

const KEYS = '/api/v1/keys'

/** What a key may be kept to; the rest of the rights are for people. */
export const KEY_ACTIONS = ['list', 'live', 'snapshot', 'ptz', 'export', 'manage', 'audit'] as const satisfies KeyDraft['actions']

export function ownKeys(api: Api): Promise<Result<Schemas['KeyList']>> {
  return api.get(KEYS)
}

/** The answer has the key's text, and no later one does. */
export function makeKey(api: Api, draft: KeyDraft): Promise<Result<Schemas['NewKey']>> {
  return api.request(KEYS, jsonInit('POST', draft))
}

export function revokeKey(api: Api, id: string): Promise<Result<null>> {
  return api.request(`${KEYS}/${encodeURIComponent(id)}`, { method: 'DELETE' })
}
