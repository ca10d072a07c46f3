import type { Log } from '../contract.ts';

/** A log whose levels have the same lines but for the level. */
export const logByLevel = (line: (level: keyof Log) => Log['info']): Log => ({
  debug: line('debug'),
  info: line('info'),
  warn: line('warn'),
  error: line('error'),
});
