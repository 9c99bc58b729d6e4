rule models:
    """Train a model on the training folds; fold `fold` is kept for the test."""
    input:
        samples=lambda wildcards: kind_folders(wildcards.experiment),
        legend=experiment_legend,
        start=start_model,
    output:
        directory("<results>/models/{experiment}/{fold}/model"),
    log:
        "<logs>/models/{experiment}/{fold}/train.log",
    benchmark:
        "<benchmarks>/models/{experiment}/{fold}/train.tsv"
    wildcard_constraints:
        experiment="|".join(
            sorted(set(config["experiments"]) - set(tuned_experiments())) or ["none"]
        ),
    conda:
        "../envs/torch.yaml"
    threads: training_threads
    resources:
        mem=lambda wildcards, attempt: f"{8 * attempt} GiB",
        runtime="12h",
        gpu=training_gpus,
    params:
        places=lambda wildcards: place_options(wildcards.experiment),
        samples=lambda wildcards, input: options("--samples", input.samples),
        settings=lambda wildcards: as_json(config["experiments"][wildcards.experiment]["model"]),
        legend=lambda wildcards: sample_set(wildcards.experiment)[1]["legend"],
        background=lambda wildcards: (
            "--background"
            if sample_set(wildcards.experiment)[1]["background"]
            else "--no-background"
        ),
        folds=lambda wildcards: sample_set(wildcards.experiment)[1]["folds"]["count"],
        seed=lambda wildcards: config["experiments"][wildcards.experiment]["seed"],
        start=start_options,
        work="results/.work/models/{experiment}/{fold}",
        code=room_code("models", "samples", "regions", "labels"),
    shell:
        r"""
        python -m cropflow models train \
            {params.places} {params.samples} \
            --settings {params.settings:q} --legend {params.legend:q} {params.background} \
            --folds {params.folds} --fold {wildcards.fold} --seed {params.seed} \
            {params.start} --threads {threads} --work {params.work:q} \
            --output {output:q} 2>{log:q}
        """


use rule models as models_trial with:
    input:
        samples=lambda wildcards: kind_folders(wildcards.experiment),
        legend=experiment_legend,
        start=start_model,
        settings="<results>/models/{experiment}/{fold}/trials/{trial}/settings.json",
    output:
        directory("<results>/models/{experiment}/{fold}/trials/{trial}/model"),
    log:
        "<logs>/models/{experiment}/{fold}/trials/{trial}.log",
    benchmark:
        "<benchmarks>/models/{experiment}/{fold}/trials/{trial}.tsv"
    wildcard_constraints:
        experiment="|".join(tuned_experiments() or ["none"]),
    params:
        settings=lambda wildcards, input: f"@{input.settings}",
        work="results/.work/models/{experiment}/{fold}/trials/{trial}",


rule models_propose:
    """Say what a trial of a fold's search tries."""
    input:
        settings=lambda wildcards: trial_files(wildcards, trials_before(wildcards), "settings.json"),
        models=lambda wildcards: trial_files(wildcards, trials_before(wildcards), "model"),
    output:
        "<results>/models/{experiment}/{fold}/trials/{trial}/settings.json",
    log:
        "<logs>/models/{experiment}/{fold}/trials/{trial}.propose.log",
    benchmark:
        "<benchmarks>/models/{experiment}/{fold}/trials/{trial}.propose.tsv"
    localrule: True
    conda:
        "../envs/torch.yaml"
    params:
        model=lambda wildcards: as_json(config["experiments"][wildcards.experiment]["model"]),
        tuning=tuning_settings,
        seed=lambda wildcards: config["experiments"][wildcards.experiment]["seed"],
        settings=lambda wildcards, input: options("--trial-settings", input.settings),
        models=lambda wildcards, input: options("--trial-model", input.models),
        code=room_code("models", "samples", "regions", "labels"),
    shell:
        r"""
        python -m cropflow models tune propose \
            --settings {params.model:q} --tuning {params.tuning:q} --seed {params.seed} \
            --trial {wildcards.trial} {params.settings} {params.models} \
            --output {output:q} 2>{log:q}
        """


rule models_choose:
    """Keep the trial of a fold that is best on its validation fold."""
    input:
        settings=lambda wildcards: trial_files(
            wildcards, trial_numbers(wildcards.experiment), "settings.json"
        ),
        models=lambda wildcards: trial_files(
            wildcards, trial_numbers(wildcards.experiment), "model"
        ),
    output:
        model=directory("<results>/models/{experiment}/{fold}/model"),
        table="<results>/models/{experiment}/{fold}/tuning.json",
    log:
        "<logs>/models/{experiment}/{fold}/choose.log",
    benchmark:
        "<benchmarks>/models/{experiment}/{fold}/choose.tsv"
    wildcard_constraints:
        experiment="|".join(tuned_experiments() or ["none"]),
    localrule: True
    conda:
        "../envs/torch.yaml"
    params:
        tuning=tuning_settings,
        settings=lambda wildcards, input: options("--trial-settings", input.settings),
        models=lambda wildcards, input: options("--trial-model", input.models),
        code=room_code("models", "samples", "regions", "labels"),
    shell:
        r"""
        python -m cropflow models tune choose \
            --tuning {params.tuning:q} {params.settings} {params.models} \
            --output {output.model:q} --table {output.table:q} 2>{log:q}
        """


rule models_predict:
    """Predict the test blocks of a fold."""
    input:
        samples=lambda wildcards: sample_folders(wildcards.experiment),
        folds=lambda wildcards: fold_tables(wildcards.experiment),
        composites=lambda wildcards: composites_of(
            wildcards.experiment, training_places(wildcards.experiment)
        ),
        history=lambda wildcards: experiment_histories(
            wildcards.experiment, training_places(wildcards.experiment)
        ),
        model="<results>/models/{experiment}/{fold}/model",
    output:
        directory("<results>/models/{experiment}/{fold}/predictions.zarr"),
    log:
        "<logs>/models/{experiment}/{fold}/predict.log",
    benchmark:
        "<benchmarks>/models/{experiment}/{fold}/predict.tsv"
    conda:
        "../envs/torch.yaml"
    threads: side_by_side
    resources:
        mem=lambda wildcards, attempt: f"{4 * attempt} GiB",
        runtime="4h",
    params:
        places=lambda wildcards: place_options(wildcards.experiment),
        samples=lambda wildcards, input: options("--samples", input.samples),
        folds=lambda wildcards, input: options("--folds", input.folds),
        composites=lambda wildcards, input: options("--composites", input.composites),
        history=lambda wildcards, input: options("--history", input.history),
        code=room_code("models", "samples", "regions", "labels"),
    shell:
        r"""
        python -m cropflow models predict \
            {params.places} {params.samples} {params.folds} {params.composites} {params.history} \
            --model {input.model:q} --fold {wildcards.fold} --threads {threads} \
            --output {output:q} 2>{log:q}
        """
