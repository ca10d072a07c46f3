/**
 * Says who held the event loop of this thread.
 * **In**: the calls that took long since the last look. **Out**: a log line, at most one a minute. **Fails**: never.
 *
 * A timer that fires late shows that the loop was blocked; the durations of calls show which of them blocked it.
 */
import type { Log } from '../../adapters/contract.ts';
import { ThrottledLine } from '../../core/handlers/throttled-line.ts';
import { HELD_MS } from '../../core/handlers/live-handler.ts';
import type { HeldBy } from '../../core/history/held-loop.ts';

const LOOK_EVERY_MS = 500;

const BY_HANDLER =
  'a handler held the event loop, and no other call was answered meanwhile; give it a process of its own (run: worker), ' +
  'or let it wait by promise and work in slices (docs/plugins.md, Ways to run)';
const BY_RULES = 'the rules of a call held the event loop, and no other call was answered meanwhile';
const BY_OTHERS =
  'the event loop was held, and no call was answered meanwhile; no call did it: look at timers and background work of ' +
  'plugins, and at the CPU of this process';

/** `take`: the calls that took long since the last time, the likeliest first. */
export function watchLoop(take: () => readonly HeldBy[], log: Log): Disposable {
  const lines = new Map(
    [BY_HANDLER, BY_RULES, BY_OTHERS].map((message) => [message, new ThrottledLine(log, 'warn', message)]),
  );
  let lookedAtMs = performance.now();
  let cpu = process.threadCpuUsage();

  const timer = setInterval(() => {
    const nowMs = performance.now();
    const lateMs = nowMs - lookedAtMs - LOOK_EVERY_MS;
    lookedAtMs = nowMs;
    const { user, system } = process.threadCpuUsage(cpu);
    cpu = process.threadCpuUsage();
    if (lateMs < HELD_MS) take();
    // After the sockets, since the promise of the call that held it may settle now.
    else setImmediate(() => write(lateMs, (user + system) / 1000));
  }, LOOK_EVERY_MS).unref();

  function write(lateMs: number, cpuMs: number): void {
    const [by] = take();
    // Where nothing is known to have held it, the machine may have had no CPU for this process.
    if (by === undefined && cpuMs < lateMs / 2) return;
    const message = by === undefined ? BY_OTHERS : by.handlers.length === 0 ? BY_RULES : BY_HANDLER;
    lines.get(message)?.write(() => ({
      ...(by === undefined ? {} : { handlers: by.handlers, rules: by.rules }),
      heldMs: Math.round(by?.heldMs ?? lateMs),
      cpuMs: Math.round(cpuMs),
      ...(by?.mayHaveWaited === true ? { mayHaveWaited: true } : {}),
    }));
  }

  return { [Symbol.dispose]: () => clearInterval(timer) };
}
