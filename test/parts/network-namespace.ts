/**
 * Network namespaces of a node and a pod, joined by a pair of virtual interfaces, so that rules of iptables can be tried without a change
 * to the machine. Needs root.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { startChild } from './child.ts';
import { debianProgram } from './fetch.ts';
import { within } from './within.ts';

const execute = promisify(execFile);

export interface Namespace {
  /** Of a process in it, for `nsenter -t PID -n`. */
  readonly pid: number;
  /** Runs a program in it; rejects with its output if it fails. */
  run(program: string, ...args: readonly string[]): Promise<string>;
  /** A process in it that listens and connects as a user; the group has the same id. */
  agent(userId: number): Promise<Agent>;
}

export interface Agent {
  /** Answers each connection with `NAME from CLIENT`. */
  listen(at: { readonly host: string; readonly port: number; readonly name: string }): Promise<void>;
  /** The answer, or the code of the error. */
  connect(to: { readonly host: string; readonly port: number; readonly from?: string }): Promise<string>;
  /**
   * Answers each request of HTTP with `NAME from CLIENT for HOST/PATH`, and `closes` its connection. One that `shows` headers adds them,
   * ` NAME=VALUE`, and answers `/status/CODE` by that code and `/delay/MS` after that time. `tls`: files in PEM; with `ca` clients need a
   * certificate.
   */
  serve(at: {
    readonly host: string;
    readonly port: number;
    readonly name: string;
    readonly closes?: boolean;
    readonly shows?: readonly string[];
    readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string };
  }): Promise<void>;
  /** `STATUS BODY`, or the code of the error; `service` is the Host header. */
  get(to: {
    readonly host: string;
    readonly port: number;
    readonly path: string;
    readonly service: string;
  }): Promise<string>;
}

export interface NodeAndPod {
  readonly node: Namespace;
  readonly pod: Namespace;
  stop(): Promise<void>;
}

/** The addresses of the node are `.1` and `::1` of each network, those of the pod `.2` and `::2`. */
const NETWORKS = ['10.77.0', '10.88.0'] as const;
const NETWORK_6 = 'fd77::';

/** Why there can be none on this machine; `undefined` if there can. */
export async function whyNoNamespaces(): Promise<string | undefined> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'network namespaces need Linux and root';
  return execute('unshare', ['-n', 'true']).then(
    () => undefined,
    (error: Error) => `network namespaces are not permitted on this machine: ${error.message.trim()}`,
  );
}

export async function nodeAndPod(): Promise<NodeAndPod> {
  const [ip] = [await debianProgram('ip', 'iproute2'), await debianProgram('iptables')];
  const agents: ChildProcess[] = [];
  const [node, pod] = [await namespace(agents), await namespace(agents)];
  await node.run(ip, 'link', 'add', 'pod', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(pod.pid));
  for (const [side, name, last] of [
    [node, 'pod', 1],
    [pod, 'eth0', 2],
  ] as const) {
    await side.run(ip, 'link', 'set', 'lo', 'up');
    await side.run(ip, 'link', 'set', name, 'up');
    for (const network of NETWORKS) await side.run(ip, 'addr', 'add', `${network}.${last}/24`, 'dev', name);
    await side.run(ip, '-6', 'addr', 'add', `${NETWORK_6}${last}/64`, 'dev', name, 'nodad');
  }
  return {
    node,
    pod,
    stop: async () => {
      for (const agent of agents) agent.kill('SIGKILL');
      await node.stop();
      await pod.stop();
    },
  };
}

interface HeldNamespace extends Namespace {
  stop(): Promise<void>;
}

export interface NodeAndPods {
  readonly node: Namespace;
  readonly pods: readonly Namespace[];
  stop(): Promise<void>;
}

export const podAddress = (at: number): string => `10.79.${at}.2`;
export const nodeAddress = (at: number): string => `10.79.${at}.1`;

/** Pods with a network each, IPv4 alone, between which the node forwards. */
export async function nodeAndPods(count: number): Promise<NodeAndPods> {
  const ip = await debianProgram('ip', 'iproute2');
  await debianProgram('iptables');
  const agents: ChildProcess[] = [];
  const node = await namespace(agents);
  await node.run(ip, 'link', 'set', 'lo', 'up');
  await node.run('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward');
  const pods = await Promise.all(
    Array.from({ length: count }, async (_, at) => {
      const pod = await namespace(agents);
      await node.run(ip, 'link', 'add', `pod${at}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(pod.pid));
      for (const [side, name, address] of [
        [node, `pod${at}`, nodeAddress(at)],
        [pod, 'eth0', podAddress(at)],
      ] as const) {
        await side.run('sh', '-c', `echo 1 > /proc/sys/net/ipv6/conf/${name}/disable_ipv6`);
        await side.run(ip, 'link', 'set', 'lo', 'up');
        await side.run(ip, 'link', 'set', name, 'up');
        await side.run(ip, 'addr', 'add', `${address}/24`, 'dev', name);
      }
      await pod.run(ip, 'route', 'add', 'default', 'via', nodeAddress(at));
      return pod;
    }),
  );
  return {
    node,
    pods,
    stop: async () => {
      for (const agent of agents) agent.kill('SIGKILL');
      for (const space of [...pods, node]) await space.stop();
    },
  };
}

async function namespace(agents: ChildProcess[]): Promise<HeldNamespace> {
  const holder = startChild('unshare', ['-n', 'sleep', '1000']);
  const outside = await readlink('/proc/self/ns/net');
  const entered = async (): Promise<void> => {
    while (holder.isRunning() && (await readlink(`/proc/${holder.pid}/ns/net`)) === outside) await sleep(5);
  };
  await within('a network namespace by unshare', entered());
  const entering = ['-t', String(holder.pid), '-n'];
  return {
    pid: holder.pid,
    run: async (program, ...args) => (await execute('nsenter', [...entering, program, ...args])).stdout,
    stop: () => holder.stop(),
    async agent(userId) {
      const script = join(import.meta.dirname, 'namespace-agent.ts');
      const child = spawn('nsenter', [...entering, process.execPath, script, String(userId)], {
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      });
      agents.push(child);
      await within('the agent of a network namespace', once(child, 'message'));
      return agentOver(child);
    },
  };
}

function agentOver(child: ChildProcess): Agent {
  const waiting = new Map<number, (text: string) => void>();
  let count = 0;
  child.on('message', ({ id, text }: { readonly id: number; readonly text: string }) => {
    waiting.get(id)?.(text);
    waiting.delete(id);
  });
  const ask = (op: 'listen' | 'connect' | 'serve' | 'get', to: object): Promise<string> =>
    new Promise((resolve) => {
      const id = (count += 1);
      waiting.set(id, resolve);
      child.send({ id, op, ...to });
    });
  const listen = async (
    op: 'listen' | 'serve',
    at: { readonly host: string; readonly port: number },
  ): Promise<void> => {
    const text = await ask(op, at);
    if (text !== '') throw new Error(`cannot listen at ${at.host} ${at.port}: ${text}`);
  };
  return {
    listen: (at) => listen('listen', at),
    serve: (at) => listen('serve', at),
    connect: (to) => ask('connect', to),
    get: (to) => ask('get', to),
  };
}
