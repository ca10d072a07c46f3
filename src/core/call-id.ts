import { randomInt } from 'node:crypto';

/** Unique among the processes of a mesh with high probability, and in this one for certain: `k3f9a2-1z`. */
const PREFIX = randomInt(36 ** 6)
  .toString(36)
  .padStart(6, '0');
let count = 0;

export const nextId = (): string => `${PREFIX}-${(++count).toString(36)}`;
