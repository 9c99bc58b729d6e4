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
        code=room_code("models", "samples", "regions", "labels"),
    shell:
        r"""
        python -m cropflow models train \
            {params.places} {params.samples} \
            --settings {params.settings:q} --legend {params.legend:q} {params.background} \
            --folds {params.folds} --fold {wildcards.fold} --seed {params.seed} \
            {params.start} \
            --threads {threads} --work results/.work/models/{wildcards.experiment}/{wildcards.fold} \
            --output {output:q} 2>{log:q}
        """


rule models_predict:
    """Predict the test blocks of a fold."""
    input:
        samples=lambda wildcards: sample_folders(wildcards.experiment),
        folds=lambda wildcards: fold_tables(wildcards.experiment),
        composites=lambda wildcards: composites_of(
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
        code=room_code("models", "samples", "regions", "labels"),
    shell:
        r"""
        python -m cropflow models predict \
            {params.places} {params.samples} {params.folds} {params.composites} \
            --model {input.model:q} --fold {wildcards.fold} --threads {threads} \
            --output {output:q} 2>{log:q}
        """
