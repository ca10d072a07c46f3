/** A button whose act changes the server: it asks once more, and says how it went. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { messageOf } from '../server.ts';

export function Confirmed({
  text,
  question,
  onConfirm,
}: {
  readonly text: string;
  readonly question: string;
  /** Resolves with a sentence for the operator. */
  readonly onConfirm: () => Promise<string>;
}): JSX.Element {
  const step = useSignal<'idle' | 'asking' | 'running'>('idle');
  const said = useSignal<{ readonly text: string; readonly isProblem: boolean } | undefined>(undefined);
  const run = async (): Promise<void> => {
    step.value = 'running';
    try {
      said.value = { text: await onConfirm(), isProblem: false };
    } catch (error) {
      said.value = { text: messageOf(error), isProblem: true };
    }
    step.value = 'idle';
  };
  return (
    <span class="confirmed">
      {step.value === 'idle' ? (
        <button type="button" onClick={() => ((step.value = 'asking'), (said.value = undefined))}>
          {text}
        </button>
      ) : (
        <>
          <span>{question}</span>
          <button type="button" class="primary" disabled={step.value === 'running'} onClick={() => void run()}>
            {text}
          </button>
          <button type="button" disabled={step.value === 'running'} onClick={() => (step.value = 'idle')}>
            Cancel
          </button>
        </>
      )}
      <span role="status" class={said.value?.isProblem === true ? 'problem' : 'muted'}>
        {said.value?.text}
      </span>
    </span>
  );
}
