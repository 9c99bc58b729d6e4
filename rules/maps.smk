rule maps:
    """Map the sites of a region in a season, out of fold where the experiment learnt."""
    input:
        sites="<results>/regions/{region}/sites.parquet",
        composites=lambda wildcards: composites_of(
            wildcards.experiment, [(wildcards.region, wildcards.season)]
        ),
        models=map_models,
        legend=experiment_legend,
        predictions=map_predictions,
        folds=map_folds,
        parcels=map_parcels,
        crops=map_crops,
        history=lambda wildcards: experiment_histories(
            wildcards.experiment, [(wildcards.region, wildcards.season)]
        ),
    output:
        directory("<results>/maps/{experiment}/{region}/{season}"),
    log:
        "<logs>/maps/{experiment}/{region}/{season}.log",
    benchmark:
        "<benchmarks>/maps/{experiment}/{region}/{season}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        mem=lambda wildcards, attempt: f"{4 * attempt} GiB",
        runtime="4h",
    params:
        composites=lambda wildcards, input: options("--composites", input.composites),
        models=lambda wildcards, input: options("--model", input.models),
        predictions=lambda wildcards, input: options("--predictions", input.predictions),
        folds=lambda wildcards, input: options("--folds", input.folds),
        parcels=lambda wildcards, input: options("--parcels", input.parcels),
        crops=lambda wildcards, input: options("--crops", input.crops),
        history=lambda wildcards, input: options("--history", input.history),
        inner_buffer=lambda wildcards: sample_set(wildcards.experiment)[1]["inner_buffer_m"],
        settings=experiment_settings,
        code=room_code("maps", "models", "evaluation", "samples", "regions", "labels"),
    shell:
        r"""
        python -m cropflow maps \
            --place {wildcards.region:q}/{wildcards.season:q} \
            --sites {input.sites:q} {params.composites} \
            {params.models} {params.predictions} {params.folds} {params.parcels} {params.crops} {params.history} \
            --inner-buffer {params.inner_buffer} --settings {params.settings:q} --threads {threads} --output {output:q} 2>{log:q}
        """
