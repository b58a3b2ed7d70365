"""`python -m benchmarks.results`: docs/RESULTS.md, and the README's one table, from docs/results/*.json.

A room for each subject. `rows()` are its figures, each beside its target and its command; `details()` are the sections
below them. Both are empty where nothing was measured.

    demo            `make demo` and `make longer`
    designs         what can be identified before anything is learned
    reproductions   published tables, measured again
    comparisons     every method on one world, and the article's claims
    lit_ball        ball and light, told apart
    constants       mass and friction from pixels
    identified      constants by replay, designed recordings, control in a calibrated simulator
    positions       constants from true positions, beside the bound
    control         goals and rewards, by protocol and by world
    chosen_settings settings that training chooses without labels
    board           the audited board of LeWM's tasks
    played          objects touched and moved, by policy
    surprises       what cannot happen
    imagined_futures   what default runs decode and imagine
    speed           rendering, collecting, loading, training
    plan_times      a plan and a decision, on a CPU, on a GPU, and beside the peer's planner
    long_runs       kills, several processes, long runs, the batched engine

    readme          the README's one table
    sources         reads the files
    commands        the commands that measure a figure again, in the options of this version
    markdown        writes figures and tables
    __main__        says which tables and which details stand where

`__main__` imports the rooms, and the rooms `sources`, `commands` and `markdown`; no room knows another.
"""
