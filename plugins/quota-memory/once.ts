/** What is charged once is kept as a counter of its own, by names that no rule's counter has. */
import type { QuotaAsk } from 'sluice/plugin';

export const onceName = ({ counter, algorithm }: { readonly counter: string; readonly algorithm: string }): string => `\0once ${algorithm} ${counter}`;
export const onceKey = (key: string, once: string | undefined): string => `${JSON.stringify(key)} ${once ?? ''}`;

/** Granted whatever is left, and not charged. */
export const chargedBefore = <B>(ask: QuotaAsk<B>): QuotaAsk<B> => ({ ...ask, cost: 0, owed: true });
