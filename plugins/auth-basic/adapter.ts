/** HTTP basic authentication (RFC 7617) by an htpasswd file. */
import { createHmac, randomBytes } from 'node:crypto';
import { z } from 'zod';
import {
  allow,
  type Call,
  defineAdapter,
  deny,
  Rejected,
  type Shape,
  UNAUTHENTICATED,
  watchedFile,
} from 'sluice/plugin';
import { type Location } from '../tokens/location-config.ts';
import { inputDefaults, inputsOf, tokenFinder } from '../tokens/locations.ts';
import { Refused } from '../tokens/refused.ts';
import { type Htpasswd, htpasswdOf, isSha, shaMatches } from './htpasswd.ts';

const LOCATIONS: readonly Location[] = [{ header: 'authorization', prefix: 'Basic ' }];
const inputs = { input: inputsOf(LOCATIONS), defaults: inputDefaults(LOCATIONS) };
const OUTPUT = { user: 'string?' } as const satisfies Shape;
/** Passwords whose bcrypt waits; a further one fails, since each takes tens of milliseconds of CPU. */
const MAX_WAITING = 32;
const MAX_KEPT = 1000;

export default defineAdapter({
  name: 'auth-basic',
  summary: 'Verifies HTTP basic authentication by an htpasswd file, and gives the user.',
  config: z.strictObject({
    file: z
      .string()
      .min(1)
      .describe(
        'Users and hashes as htpasswd -B writes them (bcrypt), or {SHA}. It is watched. With bcrypt let the handler run in a process ' +
          'of its own (run: worker), since a password takes tens of milliseconds of CPU when it is first seen.',
      )
      .meta({ examples: ['users.htpasswd'] }),
    realm: z
      .string()
      .regex(/^[ !#-[\]-~]*$/, 'it must be printable ASCII without quotes and backslashes')
      .default('sluice')
      .describe('The realm in www-authenticate, which browsers show.'),
  }),
  serves: {
    check: {
      params: z
        .strictObject({
          required: z
            .boolean()
            .default(true)
            .describe('Whether a call without a password is denied. One that is there must be right in any case.'),
        })
        .prefault({}),
      ...inputs,
    },
    enrich: { ...inputs, output: OUTPUT },
  },
  selfContained: true,
  async open({ file, realm }, host) {
    const [{ LRUCache }, { default: bcrypt }] = await Promise.all([import('lru-cache'), import('bcryptjs')]);
    const users = await watchedFile(host, { path: file, parse: htpasswdOf });
    const find = tokenFinder(LOCATIONS);
    /** Of right passwords; without this key, which is nowhere else, a dump of the memory does not help to guess them. */
    const secret = randomBytes(32);
    const good = new LRUCache<string, Htpasswd>({ max: MAX_KEPT });
    let last: Promise<unknown> = Promise.resolve();
    let waiting = 0;

    /** One after the other: each keeps a core busy. Those of calls that have ended are left out, so that a flood leaves no queue behind. */
    function compared(password: string, hashed: string, { signal }: Call): Promise<boolean> {
      if (waiting >= MAX_WAITING) throw new Rejected(`${waiting} passwords wait to be verified`);
      waiting++;
      const next = last.then(() => !signal.aborted && bcrypt.compare(password, hashed)).finally(() => waiting--);
      last = next.catch(() => undefined);
      return next;
    }

    /** The user, if the password is right. */
    function verify(credentials: string, call: Call): string | undefined | Promise<string | undefined> {
      const text = /^[A-Za-z0-9+/]+=*$/.test(credentials) ? Buffer.from(credentials, 'base64').toString() : '';
      const colon = text.indexOf(':');
      if (colon < 1 || text.length > 1024) return undefined;
      const user = text.slice(0, colon);
      const password = text.slice(colon + 1);
      const table = users.current;
      const hashed = table.hashes.get(user);
      if (hashed !== undefined && isSha(hashed)) return shaMatches(password, hashed) ? user : undefined;
      if (table.cost === undefined) return undefined;
      const digest = createHmac('sha256', secret).update(text).digest('base64');
      if (good.get(digest) === table) return user;
      // An unknown user takes as long as a known one, so that users cannot be guessed by time.
      const dummy = `$2b$${String(table.cost).padStart(2, '0')}$${'.'.repeat(53)}`;
      return compared(password, hashed ?? dummy, call).then((isRight) => {
        if (!isRight || hashed === undefined) return undefined;
        good.set(digest, table);
        return user;
      });
    }

    const headers = { 'www-authenticate': `Basic realm="${realm}", charset="UTF-8"` };
    const missing = deny(UNAUTHENTICATED, 'no password in the header authorization', { headers });
    const wrong = deny(UNAUTHENTICATED, 'the user or the password is wrong', { headers });
    const passed = allow();
    return {
      check:
        ({ params: { required } }) =>
        (input, call) => {
          const found = find(input);
          if (found === undefined) return required ? missing : passed;
          if (found instanceof Refused) return deny(UNAUTHENTICATED, found.reason, { headers });
          const user = verify(found.token, call);
          if (user instanceof Promise) return user.then((late) => (late === undefined ? wrong : passed));
          return user === undefined ? wrong : passed;
        },
      lookup: () => (input, call) => {
        const found = find(input);
        if (found === undefined || found instanceof Refused) return undefined;
        const valuesOf = (user: string | undefined): { user: string } | undefined =>
          user === undefined ? undefined : { user };
        const user = verify(found.token, call);
        return user instanceof Promise ? user.then(valuesOf) : valuesOf(user);
      },
    };
  },
});
