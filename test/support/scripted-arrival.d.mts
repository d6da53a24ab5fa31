// Types of scripted-arrival.mjs.
import type { ArrivingContent } from '../../src/util/arriving-content.ts';

/** A transfer of one file, and its readers. */
export class ScriptedArrival {
  asked: [number, number][];
  views: number;
  opens: number;
  constructor(file: string, content: Buffer, makeError: (errno: string, message?: string) => Error);
  open(): ArrivingContent;
  arrive(start?: number, end?: number): void;
  complete(): void;
  fail(errno: string, message?: string): void;
  discard(): void;
  mend(): void;
}
