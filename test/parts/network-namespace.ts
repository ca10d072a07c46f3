/**
 * Network namespaces of a node and a pod, joined by a pair of virtual interfaces, so that rules of iptables can be tried without a change to the
 * machine. Needs root.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { startChild } from './child.ts';
import { debianProgram } from './fetch.ts';

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
}

export interface NodeAndPod {
  readonly node: Namespace;
  readonly pod: Namespace;
  stop(): Promise<void>;
}

/** The addresses of the node are `.1` and `::1` of each network, those of the pod `.2` and `::2`. */
export const NETWORKS = ['10.77.0', '10.88.0'] as const;
export const NETWORK_6 = 'fd77::';

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

async function namespace(agents: ChildProcess[]): Promise<Namespace & { stop(): Promise<void> }> {
  const holder = startChild('unshare', ['-n', 'sleep', '1000']);
  const outside = await readlink('/proc/self/ns/net');
  while ((await readlink(`/proc/${holder.pid}/ns/net`)) === outside) await sleep(5);
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
      await once(child, 'message');
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
  const ask = (op: 'listen' | 'connect', to: object): Promise<string> =>
    new Promise((resolve) => {
      const id = (count += 1);
      waiting.set(id, resolve);
      child.send({ id, op, ...to });
    });
  return {
    async listen(at) {
      const text = await ask('listen', at);
      if (text !== '') throw new Error(`cannot listen at ${at.host} ${at.port}: ${text}`);
    },
    connect: (to) => ask('connect', to),
  };
}
