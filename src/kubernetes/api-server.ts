/** An API server and our credentials for it. */
import { readFile } from 'node:fs/promises';

export interface ApiServer {
  /** `https://HOST:PORT`, perhaps with a path, without a slash at the end. */
  readonly url: string;
  /** Sent as `Authorization: Bearer`. */
  readonly token?: string | undefined;
  readonly tls: ServerTls;
}

export interface ServerTls {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** The name in the server's certificate, if it is not that of the URL. */
  readonly servername?: string | undefined;
  readonly rejectUnauthorized?: boolean | undefined;
}

/** Reads the credentials anew for each connection, since tokens and certificates are rotated on disk. Rejects with the file. */
export type ReadApiServer = () => Promise<ApiServer>;

/** Throws with the path and the code, never with a part of the content. */
export async function readCredential(path: string, what: string): Promise<string> {
  let text: string;
  try {
    text = (await readFile(path, 'utf8')).trim();
  } catch (error) {
    throw new Error(`${what} ${path} cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'it is not a file'}`, {
      cause: error,
    });
  }
  if (text === '') throw new Error(`${what} ${path} is empty`);
  return text;
}

/** A normalised https URL. Throws for any other. */
export function serverUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.protocol !== 'https:' || url.username !== '' || url.search !== '' || url.hash !== '')
    throw new Error('the address of the API server is not an https URL such as https://10.0.0.1:6443');
  return `https://${url.host}${url.pathname.replace(/\/+$/, '')}`;
}
