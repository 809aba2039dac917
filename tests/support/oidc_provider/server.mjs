// An OpenID provider for the tests: oidc-provider, a certified implementation, on loopback.
//
//   node server.mjs PORT REDIRECT_URI SIGNED_OUT_URI
//
// Says "listening" when it is. A line on standard input changes it, and is answered with "ok":
//   forge KIND      the next ID tokens are wrong in that way; "none" of them again: forge nothing
//   rotate          other signing keys, those of before are gone
//   people JSON     {"login": {claims}}: whoever else signs in has no claims but sub
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import * as jose from 'jose'
import Provider from 'oidc-provider'

const [port, redirectUri, signedOutUri] = process.argv.slice(2)
const issuer = `http://127.0.0.1:${port}`
let people = {}
let forge = 'nothing'
let keyNumber = 0
let privateKey
let jwk
let callback

async function withNewKeys() {
  keyNumber += 1
  const pair = await jose.generateKeyPair('RS256', { extractable: true })
  privateKey = pair.privateKey
  jwk = { ...(await jose.exportJWK(privateKey)), kid: `key-${keyNumber}`, alg: 'RS256', use: 'sig' }
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'streamhub',
      client_secret: 'a-secret-of-the-client',
      redirect_uris: [redirectUri],
      post_logout_redirect_uris: [signedOutUri],
    }],
    jwks: { keys: [jwk] },
    cookies: { keys: ['for the tests alone'] },
    scopes: ['openid', 'profile', 'groups'],
    claims: { openid: ['sub'], profile: ['name', 'preferred_username'], groups: ['groups'] },
    pkce: { required: () => true },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
  })
  provider.use(async (ctx, next) => {
    await next()
    if (ctx.oidc?.route === 'token' && ctx.body?.id_token) ctx.body.id_token = await forged(ctx.body.id_token)
  })
  callback = provider.callback()
}

async function forged(token) {
  if (forge === 'nothing') return token
  const claims = jose.decodeJwt(token)
  const now = Math.floor(Date.now() / 1000)
  const wrong = {
    nonce: { nonce: 'another' },
    no_nonce: { nonce: undefined },
    audience: { aud: 'another-client' },
    two_audiences: { aud: ['streamhub', 'another-client'] },
    party: { azp: 'another-client' },
    issuer: { iss: 'http://127.0.0.1:1' },
    expired: { iat: now - 7200, exp: now - 3600 },
    future: { iat: now + 3600, exp: now + 7200 },
    skewed: { iat: now + 30, exp: now + 7200 },
    no_expiry: { exp: undefined },
    sub: { sub: 'somebody-else' },
  }[forge]
  const body = { ...claims, ...wrong }
  const head = { alg: 'RS256', kid: jwk.kid }
  if (forge === 'alg_none') return new jose.UnsecuredJWT(body).encode()
  if (forge === 'hmac') {
    const secret = new TextEncoder().encode('a-secret-of-the-client, and longer for HS256')
    return new jose.SignJWT(body).setProtectedHeader({ alg: 'HS256', kid: jwk.kid }).sign(secret)
  }
  if (forge === 'other_key') {
    const other = await jose.generateKeyPair('RS256')
    return new jose.SignJWT(body).setProtectedHeader(head).sign(other.privateKey)
  }
  if (forge === 'unknown_key') {
    const other = await jose.generateKeyPair('RS256')
    return new jose.SignJWT(body).setProtectedHeader({ alg: 'RS256', kid: 'nowhere' }).sign(other.privateKey)
  }
  if (forge === 'rubbish') return 'rubbish'
  // 333 characters of base64 hold no whole number of bytes; of 334 one in sixteen would.
  if (forge === 'truncated') return token.slice(0, -9)
  if (forge === 'swapped_subject') {
    const [first, , last] = token.split('.')
    return [first, jose.base64url.encode(JSON.stringify({ ...claims, sub: 'admin' })), last].join('.')
  }
  return new jose.SignJWT(body).setProtectedHeader(head).sign(privateKey)
}

await withNewKeys()
createServer((request, response) => callback(request, response)).listen(Number(port), '127.0.0.1', () => {
  process.stdout.write('listening\n')
})

for await (const line of createInterface({ input: process.stdin })) {
  const [word, ...rest] = line.split(' ')
  if (word === 'forge') forge = rest[0]
  if (word === 'people') people = JSON.parse(rest.join(' '))
  if (word === 'rotate') await withNewKeys()
  process.stdout.write('ok\n')
}
process.exit(0)
