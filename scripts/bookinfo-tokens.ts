/** The tokens of service accounts that Kubernetes would give to the pods of Bookinfo. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';

export interface Issuer {
  /** What tokens have as `iss`. */
  readonly name: string;
  /** The file with its public key. */
  readonly jwks: string;
  /** Writes a token for one account, readable for this user alone, and returns its file. */
  tokenFile(namespace: string, serviceAccount: string): Promise<string>;
}

/** Keeps its files below `folder`; the private key stays in memory. */
export async function issuerOfTokens(folder: string): Promise<Issuer> {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const tokens = join(folder, 'tokens');
  await mkdir(tokens);
  const jwks = join(folder, 'jwks.json');
  await writeFile(jwks, JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'bookinfo', alg: 'ES256' }] }));
  return {
    name: 'bookinfo',
    jwks,
    async tokenFile(namespace, serviceAccount) {
      const token = await new SignJWT({})
        .setProtectedHeader({ alg: 'ES256', kid: 'bookinfo' })
        .setIssuer('bookinfo')
        .setAudience('istio-ca')
        .setSubject(`system:serviceaccount:${namespace}:${serviceAccount}`)
        .setIssuedAt()
        .setExpirationTime('1d')
        .sign(privateKey);
      const file = join(tokens, `${namespace}.${serviceAccount}`);
      await writeFile(file, token, { mode: 0o600 });
      return file;
    },
  };
}
