rule samples_folds:
    """Assign the blocks of a region to folds, the same for every season."""
    input:
        sites="<results>/regions/{region}/sites.parquet",
        parcels=folds_parcels,
        crops=folds_crops,
    output:
        folds="<results>/samples/{set}/{region}/folds.parquet",
        summary="<results>/samples/{set}/{region}/folds.json",
    log:
        "<logs>/samples/{set}/{region}/folds.log",
    benchmark:
        "<benchmarks>/samples/{set}/{region}/folds.tsv"
    conda:
        "../envs/geo.yaml"
    resources:
        mem="2 GiB",
        runtime="1h",
    params:
        settings=entry("sets"),
        parcels=lambda wildcards, input: options("--parcels", input.parcels),
        crops=lambda wildcards, input: options("--crops", input.crops),
        code=room_code("samples", "labels", "regions"),
    shell:
        r"""
        python -m cropflow samples folds \
            --sites {input.sites:q} {params.parcels} {params.crops} \
            --settings {params.settings:q} \
            --output {output.folds:q} --summary {output.summary:q} 2>{log:q}
        """


rule samples:
    """Rasterise the parcels of a season, cut patches, and mark the fold of every pixel."""
    input:
        composites=composites_of_set,
        sites="<results>/regions/{region}/sites.parquet",
        parcels="<results>/regions/{region}/{season}/parcels",
        crops=lambda wildcards: set_crops(wildcards, [wildcards.season]),
        folds="<results>/samples/{set}/{region}/folds.parquet",
    output:
        directory("<results>/samples/{set}/{region}/{season}"),
    log:
        "<logs>/samples/{set}/{region}/{season}.log",
    benchmark:
        "<benchmarks>/samples/{set}/{region}/{season}.tsv"
    conda:
        "../envs/geo.yaml"
    resources:
        mem="4 GiB",
        runtime="1h",
    params:
        settings=entry("sets"),
        composites=lambda wildcards, input: options("--composites", input.composites),
        code=room_code("samples", "labels", "regions"),
    shell:
        r"""
        python -m cropflow samples build \
            {params.composites} --sites {input.sites:q} \
            --parcels {input.parcels:q} --crops {input.crops:q} --folds {input.folds:q} \
            --settings {params.settings:q} --output {output:q} 2>{log:q}
        """
