/** A secret that a rule reports on purpose is for the backend alone: no error that quotes a report shows it to operators. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Rejected, type ReportEntry, Unavailable } from '../../../src/adapters/contract.ts';
import { MAX_REASON } from '../../../src/core/text-bounds.ts';
import { engineOf, type Script, type TestEngine } from './engine-of.ts';

/** Sent in the clear: by a rule, in a text around it, in a map, by a named expression, in a query. */
const SECRETS = [
  'hunter2"of/ann',
  'Basic YW5uOnBhc3M',
  `cookie-of-ann-${'c'.repeat(400)}`,
  'named-key-of-ann',
  'query-key-of-ann',
];
const REQUEST = {
  'request.headers': new Map([
    ['authorization', `Bearer ${SECRETS[0]}`],
    ['x-auth-token', SECRETS[1]],
    ['cookie', SECRETS[2]],
    ['user-agent', 'agent-of-ann'],
    ['x-api-key', SECRETS[3]],
  ]),
  'request.path': `/items?token=${SECRETS[4]}&page=2`,
};
const policy = (folder: string, spool: 'memory' | 'disk'): string => `
settings: { spool: { folder: ${folder} } }
attributes:
  my.key: { is: 'reveal(request.headers["x-api-key"])' }
handlers: { out: { adapter: log-script, config: { script: out }, batch: { max: 2, maxAge: 10ms }, spool: ${spool} } }
rules:
  - name: audit
    calls: [log]
    report:
      handler: out
      input:
        token: 'reveal(request.headers["authorization"])'
        text: '"as " + reveal(request.headers["x-auth-token"])'
        all: 'reveal(request.headers)'
        named: my.key
        path: request.path
        agent: request.headers["user-agent"]
`;

/** Entries as a backend may quote them: in JSON, in a URL, in a header. */
const quoted = (entries: readonly ReportEntry[]): string =>
  entries
    .map(({ input }) => `${JSON.stringify(input)} ${Object.values(input).map(String).join(' ')} ${urlOf(input)}`)
    .join('; ');
const urlOf = ({ token, named }: ReportEntry['input']): string =>
  `http://h/?q=${encodeURIComponent(String(token))} ${Buffer.from(String(named)).toString('base64')}`;

const FORMS = [
  ...SECRETS,
  ...SECRETS.map((secret) => JSON.stringify(secret).slice(1, -1)),
  ...SECRETS.map(encodeURIComponent),
  ...SECRETS.map((secret) => Buffer.from(secret).toString('base64')),
];
function expectNone(shown: unknown): void {
  const text = JSON.stringify(shown);
  for (const form of FORMS) expect(text).not.toContain(JSON.stringify(form).slice(1, -1));
}

async function opened(spool: 'memory' | 'disk', out: Script, kept?: string): Promise<TestEngine> {
  const folder = kept ?? (await mkdtemp(join(tmpdir(), 'sluice-spool-')));
  if (kept === undefined) onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return engineOf(policy(folder, spool), { out });
}

const THROWN: readonly [string, (said: string) => unknown][] = [
  ['a fault', (said) => new TypeError(said)],
  ['an unavailable backend', (said) => new Unavailable(said)],
  ['a rejected batch', (said) => new Rejected(said)],
];

test.each((['memory', 'disk'] as const).flatMap((spool) => THROWN.map(([what, way]) => [spool, what, way] as const)))(
  '%s, %s: log, state, dead letters',
  async (spool, what, way) => {
    let given: readonly ReportEntry[] = [];
    const { engine, log, logged } = await opened(spool, {
      write: (entries) => {
        given = entries;
        throw way(`mapper_parsing_exception: ${quoted(entries)}`);
      },
    });
    void log(REQUEST);
    void log(REQUEST);
    await vi.waitFor(() => expect(logged.length).toBeGreaterThan(0), { timeout: 10_000 });
    expect(given[0]?.input).toMatchObject({ token: `Bearer ${SECRETS[0]}`, named: SECRETS[3] }); // the backend has it
    const refused = what === 'an unavailable backend' ? 0 : 2;
    const letters = await vi.waitFor(async () => {
      const answer = await engine.letters({ handler: 'out', kind: 'list' });
      expect(answer.rows).toHaveLength(refused);
      return answer;
    });
    expectNone([logged, engine.handlers(), letters]);
    expect(JSON.stringify(logged)).toContain('mapper_parsing_exception');
    expect(JSON.stringify(logged)).toContain('/items'); // the rest of the report helps to find the cause
  },
);

test.each(['memory', 'disk'] as const)(
  'of a field that joins a secret with other text, its parts; %s',
  async (spool) => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-spool-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const joined = `"user=" + reveal(request.headers["x-api-key"]) + ", agent " + request.headers["user-agent"]`;
    const text = policy(folder, spool).replace(/input:[^]*/, `input: { said: '${joined}' }`);
    const { engine, log, logged } = await engineOf(text, {
      out: {
        write: () => {
          throw new Rejected(`the user ${SECRETS[3]} is not known, nor is user ann`);
        },
      },
    });
    void log(REQUEST);
    await vi.waitFor(() => expect(logged.length).toBeGreaterThan(0), { timeout: 10_000 });
    const letters = await engine.letters({ handler: 'out', kind: 'list' });
    expectNone([logged, engine.handlers(), letters]);
    expect(JSON.stringify(logged)).toContain('the user (secret) is not known, nor is user ann');
  },
);

test('a dead letter that is sent again, and one that an earlier process left', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-spool-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const first = await opened('disk', { write: () => Promise.reject(new Unavailable('away')) }, folder);
  void first.log(REQUEST);
  await first.engine.whenSafe();
  await first.engine.drain();

  let writes = 0;
  const refusing: Script = {
    write: (entries) => {
      writes++;
      throw new Rejected(`no ${quoted(entries)}`);
    },
  };
  const second = await opened('disk', refusing, folder);
  const memory = await opened('memory', refusing);
  void memory.log(REQUEST);
  for (const { engine, logged } of [second, memory]) {
    const before = writes;
    await vi.waitFor(async () => {
      expect((await engine.letters({ handler: 'out', kind: 'list' })).rows).toHaveLength(1);
    });
    await engine.letters({ handler: 'out', kind: 'replay', ids: undefined });
    await vi.waitFor(() => expect(writes).toBeGreaterThan(before), { timeout: 10_000 });
    await engine.flush();
    expectNone([logged, engine.handlers(), await engine.letters({ handler: 'out', kind: 'list' })]);
  }
});

test('an error that comes after its batch was given up', async () => {
  const asked = Promise.withResolvers<void>();
  const fail = Promise.withResolvers<never>();
  let said = '';
  const { engine, log, logged } = await opened('memory', {
    write: async (entries) => {
      said = quoted(entries);
      asked.resolve();
      await fail.promise;
    },
  });
  void log(REQUEST);
  await asked.promise;
  const drained = engine.drain();
  await vi.waitFor(() => expect(JSON.stringify(logged)).toContain('reports lost'));
  fail.reject(new TypeError(said));
  await drained;
  await vi.waitFor(() => expect(JSON.stringify(logged)).toContain('error in a plugin'));
  expectNone([logged, engine.handlers()]);
});

test.each([
  ['a message that is cut', `${'x'.repeat(MAX_REASON - 10)} ${SECRETS[3]}`],
  ['one of which not all is read, and of which little is left', `${SECRETS[2]} `.repeat(MAX_REASON)],
])('%s shows no part of a secret', async (_, said) => {
  const { engine, log, logged } = await opened('memory', { write: () => Promise.reject(new Unavailable(said)) });
  void log(REQUEST);
  await vi.waitFor(() => expect(engine.handlers()[0]?.lastError).toBeDefined());
  expect(JSON.stringify([logged, engine.handlers()])).not.toMatch(/named-|cookie-/);
});
