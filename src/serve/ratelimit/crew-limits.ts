import type { Inspection, LimitInspector } from '../../ratelimit/inspect/inspector.ts';
import { mergedInspection } from '../../ratelimit/inspect/merged-inspection.ts';
import type { Crew } from '../crew/crew.ts';
import type { RatelimitTalk } from './messages.ts';

/** What is to be said about one descriptor where several workers hold chunks of its counter. */
export function limitsOfCrew(crew: Crew<RatelimitTalk>, replica: string): LimitInspector {
  async function inspect(domain: string, entries: Inspection['entries']): Promise<Inspection> {
    const [first, ...others] = (await crew.askAll('inspect', { domain, entries })).filter((one) => one !== undefined);
    if (first === undefined) throw new Error('no worker runs now');
    return mergedInspection([first, ...others], replica);
  }
  return {
    explain: (domain, entries) => crew.askOne('explain', { domain, entries }),
    inspect,
    async reset(domain, entries) {
      const before = await inspect(domain, entries);
      await crew.askOne('reset', { domain, entries });
      // Only now: a chunk that one takes before the counter is away would be of the old one, and spent beside the new.
      await crew.askAll('forget', { domain, entries });
      return before;
    },
  };
}
