import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { type Part, startChild, untilReady } from './child.ts';
import { redisServer } from './fetch.ts';
import { freePort } from './free-port.ts';

export interface RedisPart extends Part {
  readonly port: number;
  readonly url: string;
}

/** A real Redis without persistence, on a free port or the given one (to restart after a kill). */
export async function startRedis(
  options: { readonly port?: number; readonly args?: readonly string[] } = {},
): Promise<RedisPart> {
  const program = await redisServer();
  const port = options.port ?? (await freePort());
  const folder = await mkdtemp(join(tmpdir(), 'sluice-redis-'));
  const part = startChild(program, [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
    '--dir',
    folder,
    ...(options.args ?? []),
  ]);
  await untilReady('redis-server', part, () => answersPing(port));
  return {
    ...part,
    port,
    url: `redis://127.0.0.1:${port}`,
    stop: async (graceMs) => {
      await part.stop(graceMs);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** With a client of its own, which its end disconnects. */
export async function startRedisWithClient(): Promise<{ readonly redis: RedisPart; readonly admin: Redis }> {
  const redis = await startRedis();
  const admin = new Redis(redis.url);
  const stop = async (graceMs?: number): Promise<void> => {
    admin.disconnect();
    await redis.stop(graceMs);
  };
  return { redis: { ...redis, stop }, admin };
}

/** Any reply counts: a server that wants a password is ready, too. */
export function answersPing(port: number, ping = 'PING\r\n'): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' }, () => socket.write(ping));
    socket.once('data', (data) => {
      socket.destroy();
      resolve(/^[+-]/.test(data.toString()));
    });
    socket.once('error', () => resolve(false));
  });
}
