/**
 * Who is signed in. The cookie is HttpOnly: whether it still counts is known only by asking.
 */
import { computed, ref } from 'vue'
import { Api, type ApiError, type Me, type SetupDraft } from '../api'

export type SignIn =
  | { readonly kind: 'checking' }
  | { readonly kind: 'unreachable'; readonly error: ApiError }
  | { readonly kind: 'set-up'; readonly hasAreas: boolean }
  | { readonly kind: 'signed-out'; readonly expiredUsername: string | null }
  | { readonly kind: 'signed-in'; readonly me: Me }

export const signIn = ref<SignIn>({ kind: 'checking' })

/** Of what it guards the service decides; here it says what is worth showing. */
export const managesDistrict = computed(() => signIn.value.kind === 'signed-in' && signIn.value.me.manages_district)

/** Any 401 leads here: the sign-in screen, and the chosen channels stay as they are. */
export function loseSignIn(): void {
  if (signIn.value.kind === 'signed-out') return
  const { value } = signIn
  signIn.value = { kind: 'signed-out', expiredUsername: value.kind === 'signed-in' ? value.me.username : null }
}

/** Whoever reads the log alone has nothing to do at the wall: it would be every camera, and none to be opened. */
export function readsLogAlone({ may_audit: audits, may_manage: manages, grants }: Pick<Me, 'may_audit' | 'may_manage' | 'grants'>): boolean {
  return audits && !manages && !grants.some(({ effect, actions }) => effect === 'allow' && actions.includes('live'))
}

export const api = new Api({ onUnauthenticated: loseSignIn })

export async function checkSignIn(): Promise<void> {
  const result = await api.me()
  if (result.kind === 'success') signIn.value = { kind: 'signed-in', me: result.value }
  else if (result.kind === 'error' && result.error.status !== 401) {
    signIn.value = { kind: 'unreachable', error: result.error }
  } else if (result.kind === 'error') await checkSetup()
}

/** A new service has nobody who could sign in. */
async function checkSetup(): Promise<void> {
  const state = await api.setupState()
  if (state.kind === 'success' && state.value.needed) {
    signIn.value = { kind: 'set-up', hasAreas: state.value.has_areas }
  }
}

/** Null when the administrator was made and is signed in, else what went wrong. */
export async function submitSetup(draft: SetupDraft): Promise<ApiError | null> {
  const result = await api.setUp(draft)
  if (result.kind !== 'success') return result.kind === 'error' ? result.error : null
  return submitSignIn(draft.username, draft.password, null)
}

/** Somebody else was quicker, or it was done on the command line. */
export function leaveSetup(): void {
  signIn.value = { kind: 'signed-out', expiredUsername: null }
}

/** Null when signed in, else what went wrong. */
export async function submitSignIn(username: string, password: string, code: string | null): Promise<ApiError | null> {
  const result = await api.signIn(username, password, code)
  if (result.kind !== 'success') return result.kind === 'error' ? result.error : null
  await checkSignIn()
  return null
}

/** Null when signed out, else why one is still signed in: the cookie holds until the service has ended it. */
export async function signOut(): Promise<ApiError | null> {
  const result = await api.signOut()
  if (result.kind === 'error' && result.error.status !== 401) return result.error
  signIn.value = { kind: 'signed-out', expiredUsername: null }
  if (result.kind === 'success' && result.value !== null) location.assign(result.value.continue_at)
  return null
}

/** Why signing in by the provider came to nothing; said once, and out of the address. */
export function takeSignInError(): string | null {
  const query = new URLSearchParams(location.search)
  const code = query.get('sign_in_error')
  if (code === null) return null
  query.delete('sign_in_error')
  const rest = query.toString()
  history.replaceState(null, '', `${location.pathname}${rest === '' ? '' : `?${rest}`}${location.hash}`)
  return code
}
