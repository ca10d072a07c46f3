/** A plugin that forgets an await while it verifies a token: no call passes by it, good token or bad, and the process goes on. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeWorkspace, type Workspace } from '../parts/workspace.ts';
import { serving } from './command.ts';
import { peerClient } from './peer-client.ts';

const FORGETFUL = `import { allow, defineAdapter, deny, UNAUTHENTICATED } from 'sluice/plugin';
import { z } from 'zod';
const verify = async (token) => {
  await new Promise((wake) => setTimeout(wake, 5));
  if (token !== 'Bearer good') throw new Error('a bad token');
  return 'ann';
};
const FORGETS = {
  'the answer': (token) => void verify(token).then(() => allow()),
  'an await in the answer': (token) => ({ kind: verify(token).then(() => 'allow'), validForMs: 0, uses: 1 }),
  'an await of the output': (token) => allow({ output: { user: verify(token) } }),
  'an await of the reason': (token) => deny(UNAUTHENTICATED, verify(token)),
};
export default defineAdapter({
  name: 'auth-forgetful', summary: 'Verifies tokens, and forgets an await.', config: z.strictObject({}),
  serves: {
    check: { params: z.strictObject({ forgets: z.string().describe('What it forgets.') }), input: { token: 'string' }, output: { user: 'string?' } },
    enrich: { input: { token: 'string' }, output: { user: 'string?' } },
  },
  open: async () => ({
    check: ({ params: { forgets } }) => ({ token }) => FORGETS[forgets](token),
    lookup: () => ({ token }) => ({ user: verify(token) }),
  }),
});
`;
const FORGOTTEN = ['the answer', 'an await in the answer', 'an await of the output', 'an await of the reason'];
const INPUT = 'input: { token: \'request.headers[?"authorization"].orValue("")\' }';
const policyOf = (run: string): string => `plugins: [./auth.mjs]
handlers: { auth: { adapter: auth-forgetful, run: ${run}, deadline: 5s } }
rules:
${FORGOTTEN.map((forgets, at) => `  - { name: check-${at}, match: 'request.url_path == "/${at}"', check: { handler: auth, params: { forgets: ${forgets} }, ${INPUT} }, onAllow: { request: { set: { x-user: '\${reveal(out.?user.orValue("nobody"))}' } } } }`).join('\n')}
  - { name: who, enrich: { handler: auth, ${INPUT}, as: my.who } }
  - { name: ann-only, match: 'request.url_path == "/enrich" && my.who.?user.orValue("") != "ann"', deny: { status: 403 } }
`;

let workspace: Workspace;
beforeAll(() => {
  workspace = makeWorkspace({ 'auth.mjs': FORGETFUL });
});
afterAll(() => workspace.remove());

test.each(['inline', 'worker'])(
  'forgotten awaits of a plugin that runs %s let no call pass as somebody',
  async (run) => {
    const server = await serving([workspace.write('policy.yaml', policyOf(run))]);
    const client = peerClient(server.grpc);
    const ask = async (path: string, token: string): Promise<unknown> => {
      const { denied_response: denied, ok_response: ok } = await client.check(
        { path, headers: { authorization: `Bearer ${token}` } },
        20_000,
      );
      if (denied?.status !== undefined) return denied.status.code;
      return Object.fromEntries(
        (ok?.headers ?? []).map(({ header: { key, raw_value, value } }) => [key, value || raw_value.toString()]),
      );
    };
    try {
      for (const token of ['good', 'bad']) {
        expect(await ask('/0', token)).toBe('ServiceUnavailable'); // error in the plugin
        expect(await ask('/1', token)).toBe('ServiceUnavailable');
        expect(await ask('/2', token)).toBe('ServiceUnavailable');
        expect(await ask('/3', token)).toBe(run === 'worker' ? 'ServiceUnavailable' : 'Unauthorized');
        expect(await ask('/enrich', token)).toBe('Forbidden');
        expect(await ask('/elsewhere', token)).toEqual({});
      }
      const errors = async (): Promise<number> =>
        Number(
          /^sluice_escaped_errors_total\{origin="plugin",plugin="auth-forgetful"\} (\d+)$/m.exec(
            await (await fetch(`http://${server.admin}/metrics`)).text(),
          )?.[1] ?? 0,
        );
      await expect.poll(errors).toBeGreaterThanOrEqual(5);
      expect(server.err().match(/a bad token/g)).toHaveLength(1); // the others are counted
    } finally {
      client.close();
      expect(await server.stop()).toBe(0);
    }
  },
);
