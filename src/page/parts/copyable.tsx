/** A text to copy. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useRef } from 'preact/hooks';
import { Text } from './text.tsx';

const SHOWN_MS = 2000;

export function Copyable({ text, label = 'Copy' }: { readonly text: string; readonly label?: string }): JSX.Element {
  const said = useSignal('');
  const source = useRef<HTMLPreElement>(null);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      said.value = 'Copied';
    } catch {
      // refused outside secure contexts: the text is selected instead
      if (source.current !== null) getSelection()?.selectAllChildren(source.current);
      said.value = 'Press Ctrl+C';
    }
    setTimeout(() => (said.value = ''), SHOWN_MS);
  };
  return (
    <div class="copyable">
      <pre class="code" ref={source} tabIndex={0} aria-label={label}>
        <Text value={text} isBlock />
      </pre>
      <button type="button" onClick={() => void copy()}>
        {said.value === '' ? label : said.value}
      </button>
    </div>
  );
}
