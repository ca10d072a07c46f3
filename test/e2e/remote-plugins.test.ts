/** Plugins in processes of their own, behind the real host: `sluice plugins serve` and `run: { dial: ADDRESS }`. */
import { afterEach, describe, expect, test } from 'vitest';
import { makeWorkspace, type Workspace } from '../parts/workspace.ts';
import { program, type Program, run, serving, type Serving } from './command.ts';
import { peerClient } from './peer-client.ts';

let workspace: Workspace;
const running: (Serving | Program)[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map(async (one) => one.stop()));
  workspace.remove();
});

/** A check that denies `/NAME`; `/slow` takes 300 ms, `/loop` never ends and blocks its process. */
const plugin = (name: string): string => `
import { allow, defineAdapter, deny } from 'sluice/plugin';
import { z } from 'zod';
export default defineAdapter({
  name: '${name}',
  summary: 'Denies the path of its own name.',
  config: z.strictObject({ note: z.string().min(2).default('none').describe('Not read.') }),
  serves: { check: { input: { path: 'string' } } },
  open: async ({ note }, host) => {
    host.log.info('opened ${name}', { note });
    return {
      check: () => async ({ path }) => {
        if (path === '/slow') await new Promise((resolve) => setTimeout(resolve, 300));
        if (path === '/loop') for (;;);
        return path === '/${name}' ? deny(7, 'denied by ${name}') : allow();
      },
    };
  },
});`;

const handler = (name: string, socket: string): string =>
  `  ${name}: { adapter: ${name}, run: { dial: "unix:${socket}" }, deadline: 1s }`;
/** Asks two handlers about each request; a failing one is an error of its own rule. */
const policy = (plugins: string, handlers: readonly string[], names = ['check-a', 'check-b']): string =>
  [
    plugins,
    'handlers:',
    ...handlers,
    'rules:',
    ...names.flatMap((name) => [
      `  - name: ask-${name}`,
      `    match: request.path != "/not-${name}"`,
      `    check: { handler: ${name}, input: { path: request.path } }`,
      '    onDeny: { status: 403, body: "${out.reason}" }',
    ]),
    '',
  ].join('\n');

async function plugins(modules: readonly string[], socket: string): Promise<Program> {
  const started = await program(['plugins', 'serve', ...modules, '--listen', `unix:${socket}`], /serving plugins/, {
    cwd: workspace.folder,
  });
  running.push(started);
  return started;
}
async function host(
  file = 'policy.yaml',
): Promise<{ readonly host: Serving; readonly ask: (path: string) => Promise<string> }> {
  const served = await serving([file], { cwd: workspace.folder });
  running.push(served);
  const client = peerClient(served.grpc);
  const ask = async (path: string): Promise<string> => {
    const answer = await client
      .check({ method: 'GET', path, host: 'a', scheme: 'http' }, 5000)
      .catch(({ code, details }: { code: number; details: string }) => ({ failed: `${code} ${details}` }));
    if ('failed' in answer) return answer.failed;
    if (answer.denied_response === undefined) return `allowed ${answer.status?.code ?? 0}`;
    return answer.denied_response.body || answer.denied_response.status.code;
  };
  return { host: served, ask };
}

async function lint(file = 'policy.yaml'): Promise<string> {
  const { out, err } = await run(['lint', file], { cwd: workspace.folder });
  return out + err;
}

const MODULES = { 'a.ts': plugin('check-a'), 'b.ts': plugin('check-b') };
const HANDLERS = [handler('check-a', 'a.sock'), handler('check-b', 'b.sock')];

describe('a plugin in a process of its own', () => {
  test('the policy asks it for what it is; its answers, log lines and counters are those of an inline one', async () => {
    workspace = makeWorkspace({ ...MODULES, 'policy.yaml': policy('', [handler('check-a', 'a.sock')], ['check-a']) });
    await plugins(['./a.ts', 'check-list'], 'a.sock');
    const { host: served, ask } = await host();
    expect([await ask('/check-a'), await ask('/other')]).toEqual(['denied by check-a', 'allowed 0']);
    await served.said(/"msg":"opened check-a"/);
    expect(served.err()).toMatch(/"handler":"check-a".*"note":"none"/);
    const handlers = (await (await fetch(`http://${served.admin}/handlers`)).json()) as
      | { handlers: object[] }
      | object[];
    expect(JSON.stringify(handlers)).toContain(`unix:${workspace.path('a.sock')}`);
  });

  test('an error of its config has a position, and an address where nobody listens says what to do', async () => {
    const bad = HANDLERS[0]?.replace('deadline: 1s', 'deadline: 1s, config: { note: "x", nte: 5 }') ?? '';
    workspace = makeWorkspace({ ...MODULES, 'policy.yaml': policy('', [bad], ['check-a']) });
    expect(await lint()).toMatch(
      /policy.yaml:3:\d+ .*PLUGIN_UNREACHABLE the adapter is not known here.*nothing listens at unix:\/.*a.sock; start it.*description file/,
    );
    await plugins(['./a.ts'], 'a.sock');
    const linted = await lint();
    expect(linted).toMatch(/policy.yaml:3:\d+ .*RULES_CONFIG config of check-a, note: Too small/);
    expect(linted).toMatch(/policy.yaml:3:\d+ .*RULES_CONFIG config of check-a, nte: unknown key; did you mean note/);
    const other = makeWorkspace({
      'policy.yaml': policy('', [handler('check-z', workspace.path('a.sock'))], ['check-z']),
    });
    expect(await lint(other.path('policy.yaml'))).toMatch(
      /PLUGIN_NO_ADAPTER .*a.sock has no adapter check-z; it has check-a/,
    );
    other.remove();
  });

  test('with a description file the policy loads while it is away; the handler is ready once it is there', async () => {
    workspace = makeWorkspace({
      ...MODULES,
      'policy.yaml': policy('plugins: [./a.plugin.json, ./b.ts]', HANDLERS),
    });
    const described = await plugins(['./a.ts'], 'a.sock');
    const { out, code } = await run(['plugins', 'describe', '--dial', 'unix:a.sock'], { cwd: workspace.folder });
    expect(code).toBe(0);
    workspace.write('a.plugin.json', out);
    expect((await run(['plugins', 'show', 'check-a', 'policy.yaml'], { cwd: workspace.folder })).out).toContain(
      'run: { dial: "unix:/run/check-a.sock" }',
    );
    await described.stop();
    expect((await run(['plugins', 'describe', '--dial', 'unix:a.sock'], { cwd: workspace.folder })).err).toMatch(
      /PLUGIN_UNREACHABLE nothing listens at unix:a.sock; start it/,
    );
    const { host: served, ask } = await host();
    expect(await ask('/other')).toBe('ServiceUnavailable');
    expect(await ask('/not-check-a')).toBe('ServiceUnavailable'); // check-b is away, too
    expect(served.err().match(/a handler ended/g)).toHaveLength(2); // a line for each
    await plugins(['./a.ts'], 'a.sock');
    await plugins(['./b.ts'], 'b.sock');
    await expect.poll(async () => ask('/check-b'), { timeout: 20_000 }).toBe('denied by check-b');
    expect(await ask('/check-a')).toBe('denied by check-a');
    workspace.write(
      'policy.yaml',
      policy('plugins: [./a.plugin.json]', ['  check-a: { adapter: check-a }'], ['check-a']),
    );
    expect(await lint()).toMatch(/known by its description only; say where it runs/);
  });

  test('killed in the middle of calls, it fails those alone; back on the same socket it serves all rules again', async () => {
    workspace = makeWorkspace({ ...MODULES, 'policy.yaml': policy('', HANDLERS) });
    const a = await plugins(['./a.ts'], 'a.sock');
    await plugins(['./b.ts'], 'b.sock');
    const { ask } = await host();
    expect(await ask('/check-b')).toBe('denied by check-b');
    const slow = Promise.all(Array.from({ length: 20 }, async () => ask('/slow')));
    await new Promise((resolve) => {
      setTimeout(resolve, 100);
    });
    a.signal('SIGKILL');
    expect(new Set(await slow)).toEqual(new Set(['ServiceUnavailable']));
    expect(await ask('/not-check-a')).toBe('allowed 0'); // the other one is undisturbed
    expect(await ask('/check-a')).toBe('ServiceUnavailable');
    await plugins(['./a.ts'], 'a.sock');
    await expect.poll(async () => ask('/check-a'), { timeout: 20_000 }).toBe('denied by check-a');
  });

  test('one that hangs is found by its silence, while the other serves; it serves again when it goes on', async () => {
    workspace = makeWorkspace({ ...MODULES, 'policy.yaml': policy('', HANDLERS) });
    const a = await plugins(['./a.ts'], 'a.sock');
    await plugins(['./b.ts'], 'b.sock');
    const { host: served, ask } = await host();
    a.signal('SIGSTOP');
    try {
      await served.said(/it has been silent for 5 s; it hangs/);
      expect(await ask('/not-check-a')).toBe('allowed 0');
      expect(await ask('/check-a')).toBe('ServiceUnavailable');
    } finally {
      a.signal('SIGCONT');
    }
    await expect.poll(async () => ask('/check-a'), { timeout: 20_000 }).toBe('denied by check-a');
  });

  test('a reload keeps its stream if nothing changed for it, and SIGTERM lets it answer what it was asked', async () => {
    workspace = makeWorkspace({ ...MODULES, 'policy.yaml': policy('', HANDLERS) });
    const a = await plugins(['./a.ts'], 'a.sock');
    await plugins(['./b.ts'], 'b.sock');
    const { host: served, ask } = await host();
    const asking = Promise.all(Array.from({ length: 20 }, async () => ask('/slow')));
    const before = served.err().length;
    workspace.write('policy.yaml', policy('', HANDLERS).replaceAll('ask-check', 'asked-check'));
    served.signal('SIGHUP');
    await served.said(/"msg":"policy loaded"/, before);
    expect(new Set(await asking)).toEqual(new Set(['allowed 0']));
    expect(served.err().match(/"msg":"opened check-a"/g)).toHaveLength(1);
    const last = Promise.all(Array.from({ length: 20 }, async () => ask('/slow')));
    await new Promise((resolve) => {
      setTimeout(resolve, 100);
    });
    expect(await a.stop()).toBe(0);
    expect(new Set(await last)).toEqual(new Set(['allowed 0']));
  });
});
