/** The plugin in Go of docs/remote-plugins.md, as written there, behind the real host; then the same with faults that grpc-go may show. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { onPath } from '../parts/fetch.ts';
import { pythonPlugin } from '../parts/plugin-examples.ts';
import { makeWorkspace } from '../parts/workspace.ts';
import { run, serving, type Serving } from './command.ts';
import { peerClient } from './peer-client.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const page = readFileSync(join(ROOT, 'docs/remote-plugins.md'), 'utf8');
const section = page.slice(page.indexOf('### The smallest one, in Go'), page.indexOf('### A quota'));
const blockOf = (language: string): string => {
  const [, block] = new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``).exec(section) ?? [];
  if (block === undefined) throw new Error(`docs/remote-plugins.md has no block of ${language}`);
  return block;
};

/** What an author's code, or the server around it, may do. */
const FAULTS = `
package main

import (
	"log"
	"os"
	"time"

	v1 "example.com/blocked/pluginv1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Field 999, with a text.
var unknown = []byte{0xba, 0x3e, 0x03, 'a', 'b', 'c'}

func decide(ask *v1.Ask) *v1.CheckAnswer {
	answer := sound(ask)
	switch ask.Input["user"].GetStringValue() {
	case "slow":
		time.Sleep(1500 * time.Millisecond)
	case "newer":
		answer.ProtoReflect().SetUnknown(unknown)
		answer.GetAllow().ProtoReflect().SetUnknown(unknown)
	case "undecided":
		answer.Decision = nil
	}
	return answer
}

type stream struct{ grpc.ServerStream }

func (s stream) RecvMsg(message any) error {
	err := s.ServerStream.RecvMsg(message)
	for _, one := range message.(*v1.HandleRequest).GetMessages() {
		if one.GetAsk().GetInput()["user"].GetStringValue() == "broken" {
			return status.Error(codes.Internal, "the list is broken")
		}
	}
	return err
}

func (s stream) SendMsg(message any) error {
	response := message.(*v1.HandleResponse)
	newer := &v1.PluginMessage{}
	newer.ProtoReflect().SetUnknown(unknown)
	response.Messages = append([]*v1.PluginMessage{newer}, response.Messages...)
	return s.ServerStream.SendMsg(proto.Clone(response))
}

func options() []grpc.ServerOption {
	wrap := func(service any, s grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		log.Print("a stream is opened")
		return handler(service, stream{s})
	}
	age, err := time.ParseDuration(os.Getenv("MAX_AGE"))
	if err != nil {
		age = time.Hour
	}
	keep := keepalive.ServerParameters{MaxConnectionAge: age, MaxConnectionAgeGrace: age / 4}
	return []grpc.ServerOption{grpc.StreamInterceptor(wrap), grpc.KeepaliveParams(keep)}
}
`;

const hasGo = onPath('go') !== undefined;
const workspace = makeWorkspace(hasGo ? { 'author/main.go': blockOf('go') } : {});
const folder = workspace.path('author');
const DEADLINE = '4s';

/** The commands of the page; protoc is that of grpcio-tools. */
async function build(): Promise<void> {
  const python = (await pythonPlugin()).program;
  workspace.write('bin/protoc', `#!/bin/sh\nexec '${python}' -m grpc_tools.protoc "$@"\n`);
  chmodSync(workspace.path('bin/protoc'), 0o755);
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(ROOT, join(folder, 'node_modules/sluice'));
  const gobin = join(ROOT, '.cache/go/bin');
  const env = {
    ...process.env,
    GOBIN: gobin,
    PATH: [workspace.path('bin'), gobin, process.env['PATH']].join(delimiter),
  };
  const shell = promisify(execFile);
  await shell('sh', ['-ec', blockOf('sh')], { cwd: folder, env });
  const faulty = blockOf('go').replace('func decide(', 'func sound(').replace('NewServer()', 'NewServer(options()...)');
  workspace.write('author/main.go', faulty);
  workspace.write('author/faults.go', FAULTS);
  await shell('go', ['build', '-o', 'faulty', '.'], { cwd: folder, env });
}
if (hasGo) await build();
afterAll(() => workspace.remove());

const ended: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0).toReversed()) await end();
});

interface Plugin {
  readonly kill: () => Promise<unknown>;
  /** How many streams the host opened. */
  readonly opened: () => number;
}

async function start(program: string, maxAge = ''): Promise<Plugin> {
  const child = spawn(join(folder, program), ['blocked.sock'], {
    cwd: folder,
    stdio: ['ignore', 'inherit', 'pipe'],
    env: { ...process.env, MAX_AGE: maxAge },
  });
  const exited = once(child, 'exit');
  const kill = async (): Promise<unknown> => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    return exited;
  };
  ended.push(kill);
  const lines: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => lines.push(line));
  await expect.poll(() => lines.join('\n'), { timeout: 10_000 }).toContain('serving plugins');
  return { kill, opened: () => lines.filter((line) => line.endsWith('a stream is opened')).length };
}

async function host(
  deadline = DEADLINE,
): Promise<{ readonly served: Serving; readonly ask: (user: string) => Promise<string> }> {
  const described = await run(['plugins', 'describe', '--dial', 'unix:blocked.sock'], { cwd: folder });
  expect([described.err, described.code]).toEqual(['', 0]);
  workspace.write('author/blocked.plugin.json', described.out);
  workspace.write(
    'author/policy.yaml',
    blockOf('yaml').replace('check-blocked,', `check-blocked, deadline: ${deadline},`),
  );
  const served = await serving(['policy.yaml'], { cwd: folder });
  ended.push(async () => served.stop());
  const client = peerClient(served.grpc);
  const ask = async (user: string): Promise<string> => {
    const { denied_response: denied } = await client.check({ path: '/', headers: { 'x-user': user } });
    return denied === undefined ? 'allowed' : denied.status.code;
  };
  return { served, ask };
}

describe.skipIf(!hasGo)('the plugin of the page', () => {
  test('decides; killed it fails calls, started again it decides', async () => {
    const first = await start('blocked');
    const { served, ask } = await host();
    expect([await ask('ann'), await ask('mallory')]).toEqual(['allowed', 'Forbidden']);
    const many = await Promise.all(
      Array.from({ length: 300 }, async (_, at) => ask(at % 3 === 0 ? 'mallory' : `user-${at}`)),
    );
    expect(many.flatMap((one, at) => ((one === 'Forbidden') === (at % 3 === 0) ? [] : [at]))).toEqual([]);
    await first.kill();
    await expect.poll(async () => ask('ann'), { timeout: 10_000 }).toBe('ServiceUnavailable');
    await served.said(/a handler ended; its calls fail until it is open again/);
    await start('blocked');
    await expect.poll(async () => ask('mallory'), { timeout: 20_000 }).toBe('Forbidden');
    await served.said(/a handler runs again/);
  });

  test('newer fields and messages, no decision, a missed deadline, an error status: each costs its own call at most', async () => {
    await start('faulty');
    const { served, ask } = await host('1s');
    await expect.poll(async () => ask('ann'), { timeout: 10_000 }).toBe('allowed');
    expect([await ask('newer'), await ask('mallory'), await ask('undecided'), await ask('ann')]).toEqual([
      'allowed',
      'Forbidden',
      'ServiceUnavailable',
      'allowed',
    ]);
    await served.said(/error in the plugin: Error: a CheckAnswer has neither allow nor deny/);
    expect(await ask('slow')).toBe('ServiceUnavailable');
    await expect.poll(async () => ask('mallory'), { timeout: 10_000 }).toBe('Forbidden');
    expect(served.err()).not.toMatch(/a handler ended/);
    expect(await ask('broken')).toBe('ServiceUnavailable');
    await served.said(/a handler ended; its calls fail until it is open again/);
    expect(served.err()).toMatch(/INTERNAL: the list is broken/);
    await expect.poll(async () => ask('mallory'), { timeout: 20_000 }).toBe('Forbidden');
  });

  test('connections that MaxConnectionAge sends away cost no call', async () => {
    const { opened } = await start('faulty', '700ms');
    const { served, ask } = await host();
    const answers = new Map<string, number>();
    while (opened() < 5)
      for (const answer of await Promise.all(['ann', 'bob', 'mallory'].map(ask)))
        answers.set(answer, (answers.get(answer) ?? 0) + 1);
    expect([...answers.keys()].toSorted()).toEqual(['Forbidden', 'allowed']);
    expect(answers.get('allowed')).toBe(2 * (answers.get('Forbidden') ?? 0));
    expect(served.err()).not.toMatch(/"level":(50|40|"error"|"warn")/);
  });
});
