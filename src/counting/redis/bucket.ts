import type { Algorithm } from '../../adapters/contract.ts';
import type { Lease } from '../escrow.ts';

/** The counters of one rule. */
export interface Bucket {
  readonly counter: string;
  readonly algorithm: Algorithm;
  readonly perMs: number;
  /** Of what units are held here, by key. */
  readonly leases: Map<string, Lease>;
}
