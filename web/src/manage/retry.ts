/**
 * A key for a call that makes something (`Idempotency-Key`): the same call with the same key is answered as
 * it was, and makes nothing more.
 */

/** `crypto.randomUUID` is only there in a secure context, which a page by plain HTTP is not. */
export function retryKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}
