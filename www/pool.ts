/** Runs jobs on several workers in parallel, one job per worker. Each worker starts when it is first needed. */

type Closing = { readonly isOpen: boolean; close(): void };

export class Pool<Worker extends Closing> {
  private readonly open = new Set<Worker>();
  private readonly idle: Worker[] = [];
  private readonly waiting: (() => void)[] = [];
  private starting = 0;

  /** `most` is the largest number of workers. `first` is a worker that is open already. */
  constructor(
    private most: number,
    private readonly start: () => Promise<Worker>,
    first?: Worker,
  ) {
    if (first) {
      this.open.add(first);
      this.idle.push(first);
    }
  }

  /** Runs `job` with the next free worker. Fails if the job fails, or if no worker can start. */
  async run<Done>(job: (worker: Worker) => Promise<Done>): Promise<Done> {
    const worker = await this.take();
    try {
      const done = await job(worker);
      this.idle.push(worker);
      return done;
    } catch (error) {
      // After a trap, the wasm of this worker fails at every call. A new worker replaces it.
      this.open.delete(worker);
      worker.close();
      throw error;
    } finally {
      this.waiting.shift()?.();
    }
  }

  private async take(): Promise<Worker> {
    for (;;) {
      const idle = this.idle.pop();
      if (idle?.isOpen) return idle;
      // It died while it waited for a job.
      if (idle) this.open.delete(idle);
      if (this.open.size + this.starting < this.most) {
        this.starting += 1;
        try {
          const worker = await this.start();
          this.open.add(worker);
          return worker;
        } catch (error) {
          const others = this.open.size + this.starting - 1;
          // If a worker cannot start, the others do its work. If there are no others, the next waiting job tries to start one.
          this.most = Math.max(others, 1);
          if (others === 0) {
            this.waiting.shift()?.();
            throw error;
          }
        } finally {
          this.starting -= 1;
        }
      } else {
        await new Promise<void>((wake) => this.waiting.push(wake));
      }
    }
  }

  close(): void {
    for (const worker of this.open) worker.close();
  }
}
