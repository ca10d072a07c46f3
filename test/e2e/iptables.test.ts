/** `sluice iptables` in a pod's network namespace: which connections reach Envoy, and which pass. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { COMMAND } from '../parts/command-path.ts';
import { type Agent, type NodeAndPod, nodeAndPod, whyNoNamespaces } from '../parts/network-namespace.ts';
import { startChild, untilReady } from '../parts/child.ts';

const NODE = '10.77.0.1';
const POD = '10.77.0.2';
const PROXY_USER = 1337;
const APP_USER = 2000;
/** Stand-ins for Envoy's listeners answer with these names. */
const [OUT, IN] = ['outbound', 'inbound'];
/** Of the injector of today. */
const TODAY = ['-p', '15001', '-z', '15006', '-u', '1337', '-m', 'REDIRECT', '-i', '*', '-x', '', '-b', '*'];

const whyNot = await whyNoNamespaces();
let spaces: NodeAndPod;
let remote: Agent;
let app: Agent;
let proxy: Agent;

beforeAll(async () => {
  if (whyNot !== undefined) return;
  spaces = await nodeAndPod();
  [remote, app, proxy] = [
    await spaces.node.agent(0),
    await spaces.pod.agent(APP_USER),
    await spaces.pod.agent(PROXY_USER),
  ];
  for (const port of [80, 443, 5432]) await remote.listen({ host: '::', port, name: `remote-${port}` });
  for (const port of [9080, 9081]) await app.listen({ host: '::', port, name: `app-${port}` });
  for (const [port, name] of [
    [15001, OUT],
    [15006, IN],
  ] as const)
    await proxy.listen({ host: '::', port, name });
});
afterAll(() => spaces?.stop());
beforeEach((context) => {
  if (whyNot !== undefined) context.skip(whyNot);
});

const sluice = (...args: readonly string[]): Promise<string> =>
  spaces.pod.run(process.execPath, COMMAND, 'iptables', ...args);

/** The listener that takes it, and with `: CLIENT` the address that it sees. */
const reached = async (from: Agent, host: string, port: number, by?: string): Promise<string> =>
  (await from.connect({ host, port, ...(by === undefined ? {} : { from: by }) })).replace(/ from .*/, '');

describe("today's rules", () => {
  test('take all but what was excluded, the proxy and the loopback', async () => {
    await sluice(...TODAY, '-d', '9081', '-x', '10.88.0.0/16', '-o', '5432');
    expect(await reached(remote, POD, 9080)).toBe(IN);
    expect(await reached(remote, POD, 9081)).toBe('app-9081');
    expect(await reached(app, NODE, 80)).toBe(OUT);
    expect(await reached(app, NODE, 5432)).toBe('remote-5432');
    expect(await reached(app, '10.88.0.1', 80)).toBe('remote-80');
    expect(await reached(app, '127.0.0.1', 9080)).toBe('app-9080');
    expect(await reached(app, POD, 9080)).toBe('app-9080');
    expect(await reached(proxy, NODE, 80)).toBe('remote-80');
    // Envoy that calls its own pod for the application does so as any client would; from 127.0.0.6 it passes calls on.
    expect(await reached(proxy, POD, 9080)).toBe(IN);
    expect(await reached(proxy, POD, 9080, '127.0.0.6')).toBe('app-9080');
  });

  test('take IPv6 where the pod has such an address', async () => {
    await sluice(...TODAY, '-d', '9081');
    expect(await reached(remote, 'fd77::2', 9080)).toBe(IN);
    expect(await reached(remote, 'fd77::2', 9081)).toBe('app-9081');
    expect(await reached(app, 'fd77::1', 80)).toBe(OUT);
    expect(await reached(proxy, 'fd77::1', 80)).toBe('remote-80');
    expect(await reached(app, '::1', 9080)).toBe('app-9080');
    expect(await reached(proxy, 'fd77::2', 9080, '::6')).toBe('app-9080');
  });

  test('with lists, take only the ports and ranges that are listed', async () => {
    await sluice('-p', '15001', '-u', '1337', '-i', '10.88.0.0/16', '-b', '9080,', '-q', '443');
    expect(await reached(remote, POD, 9080)).toBe(IN);
    expect(await reached(remote, POD, 9081)).toBe('app-9081');
    expect(await reached(app, NODE, 80)).toBe('remote-80');
    expect(await reached(app, NODE, 443)).toBe(OUT);
    expect(await reached(app, '10.88.0.1', 80)).toBe(OUT);
  });
});

test('the rules of 1.0 send both directions to one listener, and refuse IPv6', async () => {
  await sluice(
    '-p',
    '15001',
    '-u',
    '1337',
    '-m',
    'REDIRECT',
    '-i',
    '*',
    '-x',
    '',
    '-b',
    '9080,',
    '-d',
    '',
    '--style',
    '1.0',
  );
  expect(await reached(remote, POD, 9080)).toBe(OUT);
  expect(await reached(remote, POD, 9081)).toBe('app-9081');
  expect(await reached(app, NODE, 80)).toBe(OUT);
  expect(await reached(app, POD, 9080)).toBe(OUT);
  expect(await reached(proxy, NODE, 80)).toBe('remote-80');
  expect(await reached(app, '127.0.0.1', 9080)).toBe('app-9080');
  expect(await reached(remote, 'fd77::2', 9081)).toMatch(/^E/);
});

test('with TPROXY the inbound listener sees the address of the client and the port that it called', async () => {
  const listener = startChild('nsenter', [
    '-t',
    String(spaces.pod.pid),
    '-n',
    'python3',
    '-u',
    '-c',
    TRANSPARENT_LISTENER,
  ]);
  await untilReady('the transparent listener', listener, async () => listener.printed().includes('ready'));
  await sluice(...TODAY, '-z', '15007', '-d', '9081', '-m', 'TPROXY', '--ipv6', 'off');
  expect(await remote.connect({ host: POD, port: 9080 })).toBe(`transparent from ${NODE} to ${POD}:9080`);
  expect(await reached(remote, POD, 9081)).toBe('app-9081');
  expect(await reached(app, NODE, 80)).toBe(OUT);
  expect(await reached(app, POD, 9080)).toBe('app-9080');
  expect(await spaces.pod.run('ip', 'rule')).toMatch(/fwmark 0x539 lookup 133/);
  await sluice(...TODAY);
  expect(await reached(remote, POD, 9080)).toBe(IN);
  expect(await spaces.pod.run('ip', 'rule')).not.toMatch(/0x539/);
  await listener.stop();
});

const TRANSPARENT_LISTENER = `
import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.setsockopt(socket.SOL_IP, 19, 1)
s.bind(('0.0.0.0', 15007))
s.listen()
print('ready')
while True:
    c, peer = s.accept()
    c.sendall(('transparent from %s to %s:%d' % (peer[0], *c.getsockname())).encode())
    c.close()
`;

describe('applied to a namespace that has rules', () => {
  const rules = async (): Promise<readonly string[]> => {
    const saved = await Promise.all(['iptables-save', 'ip6tables-save'].map((program) => spaces.pod.run(program)));
    const routes = await spaces.pod.run('ip', 'rule');
    return `${saved.join('')}${routes}`.split('\n').filter((line) => !line.startsWith('#'));
  };

  test('twice is once, a clean-up leaves the rules of others, and there are none of ours', async () => {
    await sluice('--clean', '--ipv6', 'on');
    await spaces.pod.run('iptables', '-t', 'nat', '-A', 'OUTPUT', '-p', 'tcp', '--dport', '7', '-j', 'ACCEPT');
    const before = await rules();
    for (const mode of ['REDIRECT', 'TPROXY']) {
      await sluice(...TODAY, '-m', mode, '--ipv6', 'on');
      const once = await rules();
      await sluice(...TODAY, '-m', mode, '--ipv6', 'on');
      expect(await rules()).toEqual(once);
      expect(once).not.toEqual(before);
    }
    await sluice('--clean', '--ipv6', 'on');
    expect((await rules()).filter((line) => !isEmptyTable(line))).toEqual(before.filter((line) => !isEmptyTable(line)));
  });

  test('without NET_ADMIN, or without iptables, it says so in one line and changes nothing', async () => {
    await sluice(...TODAY);
    const before = await rules();
    const command = [process.execPath, COMMAND, 'iptables', ...TODAY, '-b', '1'];
    await expect(spaces.pod.run('setpriv', '--bounding-set', '-net_admin', ...command)).rejects.toThrow(
      /\nCLI_IPTABLES this process lacks the capability NET_ADMIN[^\n]*\n/,
    );
    const hidden = 'for d in /usr/sbin /sbin; do [ -L $d ] || mount -t tmpfs none $d; done; exec "$@"';
    await expect(spaces.pod.run('unshare', '-m', 'sh', '-c', hidden, 'sh', ...command)).rejects.toThrow(
      /CLI_IPTABLES there is no program iptables-save, neither on PATH nor in \/usr\/sbin/,
    );
    expect(await rules()).toEqual(before);
  });
});

/** A table stays once it was used; its empty chains do nothing. */
const isEmptyTable = (line: string): boolean => /^(\*|:[A-Z]+ ACCEPT|COMMIT|$)/.test(line);
