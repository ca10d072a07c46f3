import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';

/** The name of this process for others: a host may run several, and one that restarts is another. */
export const replicaName = (): string => `${hostname()}-${randomUUID().slice(0, 8)}`;
